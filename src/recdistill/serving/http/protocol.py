"""HTTP of one connection, with limits on what comes before a request is complete.

uvicorn has no limit on the size of headers and none on the time that they take: a client that sends a byte a minute
would hold its connection for ever. Bodies have their limits in the gate.
"""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from typing import Any, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from .settings import Settings

__all__ = ["LimitedConfig", "LimitedProtocol"]

_ANSWERS = tuple(b"HTTP/1.1 %d" % first for first in (2, 3, 4, 5))
"""How the head of an answer begins; 100 Continue is none."""
_LINGER = 1.0
"""Seconds for which a connection stays open when its request was answered before it was complete."""
_TOO_LARGE = b"431 Request Header Fields Too Large"
_TOO_SLOW = b"408 Request Timeout"


class _Joined:
    """A transport that sends the head of an answer with what follows it: one system call where uvicorn makes two.

    Args:
        transport: The real one.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport, self._head = transport, b""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_ANSWERS) and data.endswith(b"\r\n\r\n"):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Send a head that nothing followed, as in the answer to HEAD."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class LimitedConfig(Config):
    """uvicorn's configuration with the limits of ours in it; a worker process gets a copy."""

    limits: Settings


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a limit on the size of a request's head and on the time until it is complete."""

    config: LimitedConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: TimerHandle | None = None
        self._in_head, self._unparsed, self._parsed = True, 0, 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(Transport, _Joined(transport)))
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._unparsed += len(data)
            if self._timer is None:
                self._expect_head()
        super().data_received(data)
        if self._in_head and self._unparsed > self.config.limits.max_header:
            self._refuse(_TOO_LARGE)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        self._in_head, self._unparsed = False, 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._parsed = True, 0
        if self.cycle is not None and self.cycle.response_complete:  # uvicorn waits for ever now
            self._expect_head()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        cast(_Joined, self.transport).flush()
        if self.cycle is not None and not self._in_head:  # who is still sending is not listened to for ever
            self.loop.call_later(_LINGER, self._cut, self.cycle)
        super().on_response_complete()

    def _cut(self, answered: RequestResponseCycle) -> None:
        if self.cycle is answered and not self._in_head:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def _count(self, size: int) -> None:
        """Headers that came in one piece, and trailers, are counted as they are parsed."""
        self._parsed += size
        if self._parsed > self.config.limits.max_header:
            self._refuse(_TOO_LARGE)
            raise ValueError("the parser stops here")

    def _expect_head(self) -> None:
        self._timer = self.loop.call_later(self.config.limits.header_timeout, self._refuse, _TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: bytes) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()
