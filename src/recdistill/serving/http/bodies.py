"""A request's body: read to its end within limits, and refused if it is no modest JSON."""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

__all__ = ["Gone", "check_depth", "read", "replayed"]

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class Gone(Exception):
    """The client hung up before its request was complete."""


async def read(receive: Receive, limit: int, announced: int | None) -> bytes:
    """The whole body.

    Args:
        receive: Of ASGI.
        limit: Bytes, at most.
        announced: The request's ``content-length``, if it has one.

    Raises:
        HTTPException: 413, as soon as it is known to be too large.
        Gone: The client hung up.
    """
    if announced is not None and announced > limit:
        raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts, size = [], 0
    while True:
        if message["type"] != "http.request":
            raise Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def replayed(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives a body that was read already, then what the real one gives."""
    left = [body]

    async def again() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again


def check_depth(body: bytes, limit: int) -> None:
    """Refuse JSON that is nested too deeply, before anything is built from it.

    Raises:
        HTTPException: 400.
    """
    if body.count(b"[") + body.count(b"{") <= limit:  # as good as always, and many times as fast
        return
    depth = 0
    for token in _TOKENS.finditer(body):
        first = token[0][:1]
        if first in b"[{":
            depth += 1
            if depth > limit:
                raise HTTPException(400, f"the JSON is nested more than {limit} deep")
        elif first in b"]}":
            depth -= 1


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the body has more than {limit:,} bytes", headers={"connection": "close"})
