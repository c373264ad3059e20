"""HTTP/1.1 to one server, over connections that are kept and carry one exchange at a time.

A client for all purposes takes more processor time for a short question than everything else that is done for it:
cookies, redirects, layers of headers and payloads. Here the head of a request is written once, and llhttp reads the
reply. What an exchange takes is measured by ``make bench-labelling``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlsplit

from ....registry import need
from ..exchange import Failure, Unreachable

__all__ = ["Answer", "Sender", "Wire"]

_CONNECT_SECONDS = 30.0
_IDLE_SECONDS = 30.0
"""After which a connection is not used again: many a server closes it about then, perhaps while a question is sent."""
_ADDRESS_SECONDS = 300.0
"""For which the addresses of a name are remembered."""
_NEXT_ADDRESS_SECONDS = 0.25
"""After which the next address of a name is tried beside the first (RFC 8305)."""
_HEAD_BYTES = 1 << 16
_FRAMES = 8
"""Times as many bytes may come as a body has: one that is sent in chunks of a byte has six for each."""
_GZIP = 16 + zlib.MAX_WBITS


class Answer(NamedTuple):
    """A whole response; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Sender(Protocol):
    """A way to a server."""

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

    async def close(self) -> None:
        """End all connections."""


class Wire:
    """Connections to a server that no proxy stands before.

    Args:
        url: Where its paths start.
        headers: Sent with each request.
        timeout: Seconds for an exchange, from connecting to the last byte.
        largest: Bytes of a body that are read at most.
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeout: float, largest: int) -> None:
        self.http = need("httptools", "llm")
        self._race = need("aiohappyeyeballs", "llm").start_connection
        parts = urlsplit(url)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host = str(parts.hostname)
        if not self._host.isascii():
            self._host = self._host.encode("idna").decode()
        self._port = parts.port or (443 if self._tls else 80)
        self.timeout, self.largest = timeout, largest
        named = f"[{self._host}]" if ":" in self._host else self._host
        every = {
            "Host": f"{named}:{parts.port}" if parts.port else named, "User-Agent": "recdistill",
            "Accept": "application/json", "Accept-Encoding": "gzip", **headers,
        }  # fmt: skip
        self._path = quote(parts.path, safe="/%:@!$&'()*+,;=~")
        self._head = "".join(f"{name}: {value}\r\n" for name, value in every.items())
        self._heads: dict[tuple[str, str], bytes] = {}
        self.idle: list[_Line] = []
        self.lines: set[_Line] = set()
        self._addresses: tuple[float, list[Any]] = (0.0, [])

    async def send(self, method: str, path: str, body: bytes | None = None, mark: str = "") -> Answer:
        """See :class:`Sender`."""
        ends = asyncio.get_running_loop().time() + self.timeout
        line = self._kept(ends - self.timeout) or await self._connect()
        head = self._heads.get((method, path)) or self._begun(method, path)
        key = f"Idempotency-Key: {mark}\r\n" if mark else ""
        more = f"{key}Content-Length: {len(body)}\r\n\r\n" if body is not None else f"{key}\r\n"
        waiter = line.exchange(head + more.encode() + (body or b""), ends)
        try:
            return await waiter
        except asyncio.CancelledError:
            line.end()  # its reply is still to come, and must not be taken for that of the next question
            raise

    async def close(self) -> None:
        """See :class:`Sender`."""
        for line in [*self.lines]:
            line.end()
        await asyncio.gather(*(line.gone for line in self.lines))

    def retire(self, line: _Line) -> None:
        """Use a connection no more."""
        with suppress(ValueError):
            self.idle.remove(line)

    def _kept(self, now: float) -> _Line | None:
        """The connection that was used last, as long as it may be taken for open."""
        while self.idle:
            line = self.idle.pop()
            if line.open and now - line.since < _IDLE_SECONDS:
                return line
            line.end()
        return None

    def _begun(self, method: str, path: str) -> bytes:
        head = f"{method} {self._path}{path} HTTP/1.1\r\n{self._head}".encode()
        self._heads[method, path] = head
        return head

    async def _connect(self) -> _Line:
        seconds = min(_CONNECT_SECONDS, self.timeout)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                reached = await self._race(await self._found(loop), happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS)
                name = self._host if self._tls else None
                _, line = await loop.create_connection(
                    lambda: _Line(self, loop), sock=reached, ssl=self._tls, server_hostname=name
                )
        except OSError as error:
            self._addresses = (0.0, [])  # it may have moved
            if isinstance(error, TimeoutError) and error.errno is None:
                raise Failure(f"no connection within {seconds:g} seconds", slow=True) from None
            raise Unreachable(f"nobody answers there: {_told(error)}") from None
        return line

    async def _found(self, loop: asyncio.AbstractEventLoop) -> list[Any]:
        """The server's addresses, looked up from time to time."""
        until, addresses = self._addresses
        if loop.time() >= until:
            addresses = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self._addresses = loop.time() + _ADDRESS_SECONDS, addresses
        return addresses


def _told(error: OSError) -> str:
    """What the system calls it; asyncio puts words of its own there."""
    if error.errno is None or isinstance(error, ssl.SSLError | socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno)


class _Line(asyncio.Protocol):
    """One connection; the parser calls it back."""

    def __init__(self, wire: Wire, loop: asyncio.AbstractEventLoop) -> None:
        self._wire, self._loop = wire, loop
        self._parser = wire.http.HttpResponseParser(self)
        self._waiter: asyncio.Future[Answer] | None = None
        self._late: asyncio.TimerHandle | None = None
        self._unzip: Any = None
        self.gone: asyncio.Future[None] = loop.create_future()
        self.since = 0.0
        """When it was last of use, by the clock of the loop."""
        self._begin()

    @property
    def open(self) -> bool:
        """Whether nobody has closed it."""
        return not self._transport.is_closing()

    def exchange(self, request: bytes, ends: float) -> asyncio.Future[Answer]:
        """Send, and wait for the whole reply until some time of the loop."""
        self._begin()
        self._waiter = waiter = self._loop.create_future()
        self._late = self._loop.call_at(ends, self._too_late)
        if self.gone.done():
            self._broken("it was closed at once")
        else:
            self._transport.write(request)
        return waiter

    def end(self) -> None:
        """Close at once."""
        self._wire.retire(self)
        self._transport.abort()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._wire.lines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._until_closed and exc is None:
            self._settle(again=False)
        self._broken(f"{type(exc).__name__}: {exc}" if exc else "it was closed before the end of the reply")
        self._wire.lines.discard(self)
        if not self.gone.done():
            self.gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._read += len(data)
        try:
            self._parser.feed_data(data)
        except self._wire.http.HttpParserError as error:
            self._broken(f"what came is no HTTP, {error}")
        if self._read > _HEAD_BYTES + (_FRAMES * self._wire.largest if self._in_body else 0):
            self._too_much()

    def on_message_begin(self) -> None:
        """A response begins."""
        if self._waiter is None:  # nothing was asked: it would be taken for the reply to the next question
            self.end()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header is there."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """All are."""
        self._in_body, headers = True, self._headers
        self._until_closed = "content-length" not in headers and "transfer-encoding" not in headers
        if headers.get("content-encoding", "").lower() in ("gzip", "x-gzip"):
            self._unzip = zlib.decompressobj(_GZIP)

    def on_body(self, part: bytes) -> None:
        """Some of the body is there."""
        if self._unzip is not None:
            try:
                part = self._unzip.decompress(part, self._wire.largest + 1)
            except zlib.error as error:
                self._broken(f"what came is not compressed as it should be, {error}")
        self._size += len(part)
        self._parts.append(part)
        if self._size > self._wire.largest:
            self._too_much()

    def on_message_complete(self) -> None:
        """The response is whole."""
        if self._parser.get_status_code() < 200:
            self._begin()  # the one that counts follows
        else:
            self._settle(self._parser.should_keep_alive() and not self._transport.get_write_buffer_size())

    def _begin(self) -> None:
        self._headers, self._parts = dict[str, str](), list[bytes]()
        self._read, self._size, self._in_body, self._until_closed = 0, 0, False, False
        self._unzip = None

    def _settle(self, again: bool) -> None:
        """Hand the response over, and the connection back if it may be used again."""
        if self._unzip is not None and self._parts and not self._unzip.eof:
            self._broken("what came is cut off")
        waiter = self._free()
        if waiter is None:
            return
        waiter.set_result(Answer(self._parser.get_status_code(), self._headers, b"".join(self._parts)))
        if again:
            self.since = self._loop.time()
            self._wire.idle.append(self)
        else:
            self.end()

    def _too_late(self) -> None:
        self._fail(Failure(f"no complete reply within {self._wire.timeout:g} seconds", slow=True))

    def _too_much(self) -> None:
        self._fail(Failure(f"a reply of more than {self._wire.largest >> 20} MB", again=False))

    def _broken(self, why: str) -> None:
        self._fail(Failure(f"the connection broke ({why})"))

    def _fail(self, error: Failure) -> None:
        waiter = self._free()
        if waiter is not None:
            waiter.set_exception(error)
        self.end()

    def _free(self) -> asyncio.Future[Answer] | None:
        """Whoever waits; nobody does from now on."""
        waiter, self._waiter = self._waiter, None
        if self._late is not None:
            self._late.cancel()
            self._late = None
        return None if waiter is None or waiter.done() else waiter
