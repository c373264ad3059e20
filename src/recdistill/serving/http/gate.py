"""The door of the server: every request comes in and goes out here.

Who asks, how often, how much and how long is decided before anything else runs; what goes wrong becomes one line of
JSON; every request is counted and logged. Questions in JSON are answered here, straight from the bytes: what
FastAPI does around a handler costs more than the recommendation. FastAPI documents them, and answers what is left.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .bodies import Gone, check_depth, read, replayed
from .meters import Meters
from .pages import ASSETS
from .problems import said
from .rates import Rates
from .settings import Keys, Settings

__all__ = ["Gate", "Quick"]

log = logging.getLogger("recdistill.server")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_OPEN = ("/", "/v2/health/live", "/v2/health/ready", "/docs", *ASSETS, "/openapi.json", "/favicon.ico")
"""Paths that need no key: whether the server lives, the page without its data, and how to ask."""
_LOCAL = re.compile(rb"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
_SAFE = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


_PROCESS, _NUMBERS = secrets.token_hex(4), itertools.count()


def _name() -> str:
    """Of a request that brings none: of this process and its number, 16 hex digits; random ones cost a system call."""
    return f"{_PROCESS}{next(_NUMBERS) & 0xFFFFFFFF:08x}"


@dataclass(frozen=True, slots=True)
class Quick:
    """A route that is answered at the door.

    Attributes:
        question: The type of its body.
        answer: The type of what comes back, for the documentation.
        work: Makes it, as something that :func:`orjson.dumps` takes.
        about: One line.
    """

    question: type[BaseModel]
    answer: type[BaseModel]
    work: Callable[[Any], Awaitable[Any]]
    about: str


class Gate:
    """An ASGI application around another.

    Args:
        rest: Answers what is not quick; also told of start and end.
        quick: Routes by path; all are POST.
        routes: Names a path for metrics, with its parameters left open.
        settings: Limits.
        keys: Who may ask.
        meters: Count.
    """

    def __init__(
        self,
        rest: ASGIApp,
        quick: Mapping[str, Quick],
        routes: Callable[[Scope], str],
        settings: Settings,
        keys: Keys,
        meters: Meters,
    ) -> None:
        self._rest, self._quick, self._routes = rest, quick, routes
        self._settings, self._keys, self._meters = settings, keys, meters
        self._rates = Rates(settings.rate, settings.burst)
        self._only_local = not keys and settings.host in ("127.0.0.1", "localhost", "::1")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; part of ASGI."""
        if scope["type"] == "lifespan":
            await self._rest(scope, receive, send)
        elif scope["type"] == "http":
            await _Visit(self, scope, receive, send).answer()
        else:
            await send({"type": "websocket.close", "code": 1003})


class _Visit:
    """One request."""

    __slots__ = ("_client", "_complete", "_gate", "_headers", "_id", "_receive", "_scope", "_send", "_size", "_status")

    def __init__(self, gate: Gate, scope: Scope, receive: Receive, send: Send) -> None:
        self._gate, self._scope, self._receive, self._send = gate, scope, receive, send
        self._headers = dict(scope["headers"])
        given = self._headers.get(b"x-request-id", b"")
        self._id = given.decode() if _REQUEST_ID.fullmatch(given) else _name()
        self._status, self._size, self._client, self._complete = 0, 0, "", False

    async def answer(self) -> None:
        """Everything from the head of the request to the end of its answer."""
        gate, start = self._gate, time.perf_counter()
        gate._meters.running.inc()
        try:
            async with asyncio.timeout(gate._settings.timeout):
                await self._admitted()
        except TimeoutError:
            status, what = (504, "answered") if self._complete else (408, "complete")
            await self._refuse(status, f"not {what} within {gate._settings.timeout:g} s", {"connection": "close"})
        except Gone:
            self._status = 499
        except Exception as error:
            await self._refuse(*said(error, self._id))
        finally:
            gate._meters.running.dec()
            self._note(time.perf_counter() - start)

    async def _admitted(self) -> None:
        gate, path = self._gate, self._scope["path"]
        self._client = self._who(path)
        if wait := gate._rates.wait(self._client):
            raise HTTPException(429, "too many requests", {"retry-after": str(max(1, round(wait)))})
        body = b""
        if self._scope["method"] in _WITH_BODY:
            announced = self._headers.get(b"content-length", b"")
            body = await read(self._receive, gate._settings.max_body, int(announced) if announced.isdigit() else None)
            self._size = len(body)
            kind = self._headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            # a page of another site can send a form or plain text to us through a browser, but no JSON
            if kind != b"application/json":
                raise HTTPException(415, "the body must be application/json")
            check_depth(body, gate._settings.max_depth)
        self._complete = True
        quick = gate._quick.get(path) if self._scope["method"] == "POST" else None
        if quick is None:
            self._scope["request_id"] = self._id
            await gate._rest(self._scope, replayed(body, self._receive), self._counted)
            return
        answer = await quick.work(quick.question.model_validate_json(body))
        await self._reply(200, orjson.dumps(answer))

    def _who(self, path: str) -> str:
        """The name of the key's holder, or the address where no key is needed.

        Raises:
            HTTPException: 401; 421 if a foreign page might be asking through the browser of somebody on this machine.
        """
        gate, client = self._gate, self._scope.get("client")
        address = client[0] if client else "unknown"
        if gate._only_local and not _LOCAL.fullmatch(self._headers.get(b"host", b"localhost")):
            raise HTTPException(421, "this server answers to localhost only; set keys and --host to open it")
        if not gate._keys or path in _OPEN:
            return address
        scheme, _, token = self._headers.get(b"authorization", b"").partition(b" ")
        key = token.strip() if scheme.lower() == b"bearer" else self._headers.get(b"x-api-key", b"")
        holder = gate._keys.holder(key)
        if holder is None:
            if gate._rates.wait(address):
                raise HTTPException(429, "too many requests", {"retry-after": "1"})
            what = "this key is not known" if key else "a key is needed: Authorization: Bearer KEY"
            raise HTTPException(401, what, {"www-authenticate": "Bearer"})
        return holder

    async def _counted(self, message: Message) -> None:
        """Pass an answer of the rest on, with our headers."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            own = [(b"x-request-id", self._id.encode()), *_SAFE]
            given = list(message.get("headers", ()))
            names = {name for name, _ in given}
            message = {**message, "headers": given + [pair for pair in own if pair[0] not in names]}
        await self._send(message)

    async def _refuse(self, status: int, what: str, headers: Mapping[str, str] | None = None) -> None:
        if self._status:  # the answer had begun: all we can do is to break it off
            return
        body = orjson.dumps({"error": what, "request": self._id})
        await self._reply(status, body, [(name.encode(), text.encode()) for name, text in (headers or {}).items()])

    async def _reply(self, status: int, body: bytes, more: list[tuple[bytes, bytes]] | None = None) -> None:
        self._status = status
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", self._id.encode()),
            *_SAFE,
            *(more or ()),
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _note(self, seconds: float) -> None:
        gate = self._gate
        route = self._scope["path"] if self._scope["path"] in gate._quick else gate._routes(self._scope)
        gate._meters.answered(route, self._status, seconds)
        wanted = gate._settings.log
        if wanted == "all" or (wanted == "errors" and self._status >= 400):
            facts = {
                "request": self._id,
                "client": self._client,
                "method": self._scope["method"],
                "route": route,
                "status": self._status,
                "milliseconds": round(seconds * 1e3, 2),
                "bytes": self._size,
            }
            log.info("request", extra={"fields": facts})
