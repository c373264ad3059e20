"""HTTP to one server, by aiohttp, over connections that are kept."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ....registry import need
from ..exchange import Failure, Unreachable

__all__ = ["Answer", "Wire", "proxy_before"]

_CONNECT_SECONDS = 30.0
_IDLE_SECONDS = 30.0
"""After which a connection is not used again: many a server closes it about then, perhaps while a question is sent."""
_ADDRESS_SECONDS = 300
"""For which the addresses of a name are remembered."""


class Answer(NamedTuple):
    """A whole response; names of headers are looked up in either case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def proxy_before(url: str) -> bool:
    """Whether ``http_proxy``, ``https_proxy`` and ``no_proxy`` want a proxy for a URL."""
    parts = urlsplit(url)
    return parts.scheme in getproxies() and not proxy_bypass(str(parts.hostname))


class Wire:
    """Connections to a server, through a proxy where the environment wants one.

    Args:
        url: Where its paths start.
        headers: Sent with each request.
        timeout: Seconds for an exchange, from connecting to the last byte.
        largest: Bytes of a body that are read at most.
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float, largest: int) -> None:
        self._http, self._parsed = need("aiohttp", "llm"), need("yarl", "llm").URL
        self._urls: dict[str, Any] = {}
        self._url, self._headers, self._timeout, self._largest = url, headers, timeout, largest
        tls = ssl.create_default_context() if url.startswith("https:") else True  # it heeds SSL_CERT_FILE
        self._session = self._http.ClientSession(
            connector=self._http.TCPConnector(
                limit=0, ttl_dns_cache=_ADDRESS_SECONDS, keepalive_timeout=_IDLE_SECONDS, ssl=tls
            ),
            timeout=self._http.ClientTimeout(total=timeout, sock_connect=min(_CONNECT_SECONDS, timeout)),
            cookie_jar=self._http.DummyCookieJar(),
            trust_env=proxy_before(url),  # to look for one with every request takes as long as the request
        )

    async def send(self, method: str, path: str, body: bytes | None = None, mark: str = "") -> Answer:
        """One exchange.

        Args:
            method: Such as POST.
            path: What follows the URL.
            body: What is sent.
            mark: The ``Idempotency-Key``, if there is one.

        Raises:
            Unreachable: Nobody answers there.
            Failure: It took too long, or the connection broke, or what came is no HTTP or too much.
        """
        http = self._http
        headers = {**self._headers, "Idempotency-Key": mark} if mark else self._headers
        url = self._urls.get(path) or self._urls.setdefault(path, self._parsed(self._url + path))
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return Answer(response.status, response.headers, await self._read(response))
        except (http.ClientConnectorError, http.ClientConnectorDNSError) as error:
            raise Unreachable(f"nobody answers there: {_told(error.os_error)}") from None
        except TimeoutError:
            raise Failure(f"no complete reply within {self._timeout:g} seconds", slow=True) from None
        except (http.ClientError, OSError) as error:
            raise Failure(f"the connection broke ({type(error).__name__}: {error})") from None

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    async def _read(self, response: Any) -> bytes:
        length, packed = response.content_length, "Content-Encoding" in response.headers
        if length is not None and length <= self._largest and not packed:
            return bytes(await response.read())
        parts, size = [], 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > self._largest:
                raise Failure(f"a reply of more than {self._largest >> 20} MB", again=False)
        return b"".join(parts)


def _told(error: OSError) -> str:
    """What the system calls it; asyncio puts words of its own there, and aiohttp speaks of an ``ssl:default``."""
    if error.errno is None or isinstance(error, ssl.SSLError | socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno)
