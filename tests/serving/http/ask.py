"""One request, with everything that came back."""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = ["Got", "ask", "post"]


class Got(NamedTuple):
    """An answer."""

    status: int
    headers: dict[str, str]
    text: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(url: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Got:
    """Any request."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Got(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def post(url: str, path: str, question: Any, headers: dict[str, str] | None = None) -> Got:
    """A question in JSON."""
    body = question if isinstance(question, bytes) else json.dumps(question).encode()
    return ask(url, "POST", path, body, {"content-type": "application/json"} | (headers or {}))
