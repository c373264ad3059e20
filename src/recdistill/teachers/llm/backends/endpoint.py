"""Any server that speaks the OpenAI protocol."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from ....errors import ConfigError
from ....registry import need
from ..engine import Backend
from ..exchange import Capabilities, Failure, Reply, Request, Unreachable
from .base import BackendConfig
from .echo import as_completions
from .probe import probe
from .protocol import read_reply, seconds_to_wait, trouble_of

__all__ = ["Endpoint", "OpenEndpoint"]

_LARGEST = 64 << 20
"""Bytes of a reply that are read at most."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATHS = {
    "chat": "/chat/completions", "embeddings": "/embeddings", "rerank": "/rerank", "likelihood": "/completions",
}  # fmt: skip
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class Endpoint(BackendConfig):
    """A server that speaks the OpenAI protocol, local or hosted.

    What it can do is found out by asking it: log-probabilities, JSON, context, embeddings, ranking. The key is read
    from an environment variable and goes nowhere but into the requests. Each question carries an ``Idempotency-Key``: a
    gateway that heeds it does not bill a question twice that was repeated after an interruption.
    """

    name: ClassVar[str] = "endpoint"
    speed_only: ClassVar[frozenset[str]] = BackendConfig.speed_only | {
        "url", "replicas", "key_variable", "timeout",
    }  # fmt: skip

    url: str = Field("http://127.0.0.1:8080/v1", description="where the paths of the protocol start")
    replicas: tuple[str, ...] = Field(
        (), description="more servers of the same model, asked beside the first one with --on ray"
    )
    model: str | None = Field(None, description="name of the model there; None: the only one it lists")
    key_variable: str = Field("OPENAI_API_KEY", description="environment variable that holds the key, if one is needed")
    timeout: float = Field(120.0, gt=0, description="seconds for an exchange, from connecting to the last byte")

    @field_validator("replicas")
    @classmethod
    def _are_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(cls._is_url(url) for url in urls)

    @field_validator("key_variable")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not _VARIABLE.fullmatch(name):
            raise ConfigError(  # which does not repeat what may be a key
                "is no name of an environment variable", hint="put the key into the environment, never into a recipe"
            )
        return name

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("no URL such as http://127.0.0.1:8080/v1")
        if parts.username or parts.password or parts.query:
            raise ConfigError(
                "keys do not belong into a URL", hint="put the key into the environment, see key_variable"
            )
        return url.rstrip("/")

    def servers(self) -> tuple[str, ...]:
        return (self.url, *self.replicas)

    def at_server(self, address: str | None) -> Endpoint:
        return self if address is None else self.replace(url=address, replicas=())

    async def join(self, capabilities: Capabilities) -> Backend:
        opened = self._reach()
        opened.meet(capabilities)  # one of its servers was looked at
        return opened

    def _reach(self) -> OpenEndpoint:
        return OpenEndpoint(self, os.environ.get(self.key_variable, ""))

    async def open(self) -> Backend:
        opened = self._reach()
        try:
            found = await probe(opened, self.model)
            opened.meet(dataclasses.replace(found, identity=self.identified(found.identity)))
        except BaseException:
            await opened.close()
            raise
        return opened


class OpenEndpoint:
    """Connections to an endpoint.

    Args:
        config: Which.
        secret: The key, or nothing.
    """

    def __init__(self, config: Endpoint, secret: str) -> None:
        self._http = need("aiohttp", "llm")
        self.config, self.place, self._secret = config, config.url, secret
        self.meet(Capabilities(config.model or "", config.model or ""))
        proxies = any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES)
        self._session = self._http.ClientSession(
            connector=self._http.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=30),
            timeout=self._http.ClientTimeout(total=config.timeout, sock_connect=min(30.0, config.timeout)),
            cookie_jar=self._http.DummyCookieJar(),
            trust_env=proxies,
        )
        self._headers = {"Content-Type": "application/json"}
        if secret:
            self._headers["Authorization"] = f"Bearer {secret}"

    def meet(self, capabilities: Capabilities) -> None:
        """Remember which model is asked and what it can do."""
        self.capabilities = capabilities
        self._model_and = Request("chat", {"model": capabilities.model}).encoded[:-1] + b","

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def ask(self, request: Request, mark: str) -> Reply:
        """Ask once; see :class:`~recdistill.teachers.llm.engine.Backend`."""
        words = as_completions(request) if request.route == "likelihood" else request
        body = self._model_and + words.encoded[1:]
        headers = {**self._headers, "Idempotency-Key": mark}
        return read_reply(request, await self.exchange("POST", _PATHS[request.route], body, headers))

    def completed(self, request: Request) -> Request:
        """See :class:`~recdistill.teachers.llm.engine.Backend`."""
        return self.config.completed(request)

    async def exchange(self, method: str, path: str, body: bytes | None = None, headers: Any = None) -> bytes:
        """Send, and read the body of a response of status 200.

        Raises:
            Trouble: There is none.
        """
        http = self._http
        try:
            async with self._session.request(
                method, self.place + path, data=body, headers=headers or self._headers, allow_redirects=False
            ) as response:
                data = await self._read(response)
                status, wait = response.status, seconds_to_wait(response.headers, time.time())
        except (http.ClientConnectorError, http.ClientConnectorDNSError) as error:
            why = error.os_error.strerror or error.os_error  # its own text speaks of an "ssl:default"
            raise Unreachable(f"nobody answers there: {self._clean(why)}") from None
        except TimeoutError:
            raise Failure(f"no complete reply within {self.config.timeout:g} seconds", slow=True) from None
        except (http.ClientError, OSError) as error:
            raise Failure(f"the connection broke ({type(error).__name__}: {self._clean(error)})") from None
        if status == 200:
            return data
        trouble = trouble_of(status, data, wait, self.config.key_variable)
        trouble.why = self._clean(trouble.why)
        raise trouble

    async def _read(self, response: Any) -> bytes:
        length = response.content_length
        if length is not None and length <= _LARGEST:
            return bytes(await response.read())
        parts, size = [], 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > _LARGEST:
                raise Failure(f"a reply of more than {_LARGEST >> 20} MB", again=False)
        return b"".join(parts)

    def _clean(self, text: object) -> str:
        """A message without the key, should the server have repeated it."""
        shown = str(text)
        return shown.replace(self._secret, "***") if self._secret else shown
