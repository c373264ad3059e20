"""HTTP by way of a proxy, as the variables ``http_proxy``, ``https_proxy`` and ``no_proxy`` ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ....registry import need
from ..exchange import Failure, Unreachable
from .wire import Answer

__all__ = ["Proxied", "proxy_before"]


def proxy_before(url: str) -> bool:
    """Whether the environment wants a proxy for a URL."""
    parts = urlsplit(url)
    return parts.scheme in getproxies() and not proxy_bypass(str(parts.hostname))


class Proxied:
    """Connections to a server through a proxy; see :class:`~.wire.Wire` for the arguments."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float, largest: int) -> None:
        self._http = need("aiohttp", "llm")
        self._url, self._headers, self._timeout, self._largest = url, headers, timeout, largest
        self._session = self._http.ClientSession(
            connector=self._http.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=30),
            timeout=self._http.ClientTimeout(total=timeout, sock_connect=min(30.0, timeout)),
            cookie_jar=self._http.DummyCookieJar(),
            trust_env=True,
        )

    async def send(self, method: str, path: str, body: bytes | None = None, mark: str = "") -> Answer:
        """See :class:`~.wire.Sender`."""
        http = self._http
        headers = {**self._headers, "Idempotency-Key": mark} if mark else self._headers
        try:
            async with self._session.request(
                method, self._url + path, data=body, headers=headers, allow_redirects=False
            ) as response:
                told = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, told, await self._read(response))
        except (http.ClientConnectorError, http.ClientConnectorDNSError) as error:
            why = error.os_error.strerror or error.os_error  # its own text speaks of an "ssl:default"
            raise Unreachable(f"nobody answers there: {why}") from None
        except TimeoutError:
            raise Failure(f"no complete reply within {self._timeout:g} seconds", slow=True) from None
        except (http.ClientError, OSError) as error:
            raise Failure(f"the connection broke ({type(error).__name__}: {error})") from None

    async def close(self) -> None:
        """See :class:`~.wire.Sender`."""
        await self._session.close()

    async def _read(self, response: Any) -> bytes:
        parts, size = [], 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > self._largest:
                raise Failure(f"a reply of more than {self._largest >> 20} MB", again=False)
        return b"".join(parts)
