"""Any server that speaks the OpenAI protocol."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from ....errors import ConfigError
from ..engine import Backend
from ..exchange import Capabilities, Reply, Request, Trouble
from .base import BackendConfig
from .echo import as_completions
from .probe import probe
from .protocol import read_reply, seconds_to_wait, trouble_of
from .wire import Wire

__all__ = ["Endpoint", "OpenEndpoint"]

_LARGEST = 64 << 20
"""Bytes of a reply that are read at most."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATHS = {
    "chat": "/chat/completions", "embeddings": "/embeddings", "rerank": "/rerank", "likelihood": "/completions",
}  # fmt: skip


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
        secret = os.environ.get(self.key_variable, "").strip()  # of a file, it often ends in a line break
        if not (secret.isascii() and secret.isprintable()):
            raise ConfigError(f"{self.key_variable} in the environment has a character that no key has")
        return OpenEndpoint(self, secret)

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
        self.config, self.place, self._secret = config, config.url, secret
        self.meet(Capabilities(config.model or "", config.model or ""))
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {secret}"} if secret else {})
        self._wire = Wire(config.url, headers, config.timeout, _LARGEST)

    def meet(self, capabilities: Capabilities) -> None:
        """Remember which model is asked and what it can do."""
        self.capabilities = capabilities
        self._model_and = Request("chat", {"model": capabilities.model}).encoded[:-1] + b","

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()

    async def ask(self, request: Request, mark: str) -> Reply:
        """Ask once; see :class:`~recdistill.teachers.llm.engine.Backend`."""
        words = as_completions(request) if request.route == "likelihood" else request
        body = self._model_and + words.encoded[1:]
        return read_reply(request, await self.exchange("POST", _PATHS[request.route], body, mark))

    def completed(self, request: Request) -> Request:
        """See :class:`~recdistill.teachers.llm.engine.Backend`."""
        return self.config.completed(request)

    async def exchange(self, method: str, path: str, body: bytes | None = None, mark: str = "") -> bytes:
        """Send, and read the body of a response of status 200; see :meth:`~.wire.Wire.send` for the arguments.

        Raises:
            Trouble: There is none; it does not repeat the key, should the server have done so.
        """
        try:
            status, headers, data = await self._wire.send(method, path, body, mark)
            if status == 200:
                return data
            raise trouble_of(status, data, seconds_to_wait(headers, time.time()), self.config.key_variable)
        except Trouble as trouble:
            if self._secret:
                trouble.why = trouble.why.replace(self._secret, "***")
            raise
