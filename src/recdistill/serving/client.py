"""A client for the server: the standard library, one connection that is kept."""

from __future__ import annotations

import http.client
import json
import os
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from ..errors import ServerError
from .bundle import Recommendation

__all__ = ["Client"]

_KEY = "RECDISTILL_API_KEY"
_AGAIN = (429, 503)
"""Answers after which the same request may work a little later."""


class Client:
    """Asks a server; close it, or use it in ``with``. One thread at a time.

    ::

        with Client("http://127.0.0.1:8000") as shop:
            shop.recommend(["1", "50"], n=5)
            shop.feedback([{"user": "u17", "item": "50", "type": "click"}])

    Args:
        url: Of the server.
        key: If it wants one; by default what ``RECDISTILL_API_KEY`` holds.
        timeout: Seconds to wait for an answer.
        retries: How often a request is sent again after a lost connection, or after 429 or 503.

    Raises:
        ServerError: From every method: no answer, or a refusal with its ``status``.
    """

    def __init__(self, url: str, key: str | None = None, timeout: float = 10.0, retries: int = 2) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port  # a port that is none is found here
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if parts.scheme not in ("http", "https") or not host:
            raise ServerError("is no address of a server", where=url, hint="as in http://127.0.0.1:8000")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(host, port, timeout=timeout)
        self._url, self._prefix, self._retries = url, parts.path.rstrip("/"), retries
        key = os.environ.get(_KEY) if key is None else key
        self._headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})

    def recommend(
        self, history: Sequence[str] | None = None, n: int = 10, *, user: str | None = None, **more: Any
    ) -> list[Recommendation]:
        """Items for a history of item ids, oldest first, or for a user whose events the server knows.

        Args:
            history: Item ids; None: what the server knows of the user.
            n: How many, at most.
            user: Decides which variant answers.
            more: ``deny``, ``exclude_history``, ``where`` and ``diversity``, as ``/openapi.json`` describes them.
        """
        return _listed(self.post("/v1/recommend", {"history": history, "user": user, "n": n, **more}))

    def recommend_many(self, histories: Sequence[Sequence[str]], n: int = 10) -> list[list[Recommendation]]:
        """Items for each of many histories."""
        asked = {"requests": [{"history": list(history), "n": n} for history in histories]}
        return [_listed(answer) for answer in self.post("/v1/recommend/batch", asked)["answers"]]

    def similar(self, item: str, n: int = 10, **more: Any) -> list[Recommendation]:
        """Items like one; ``more``: ``where`` and ``diversity``."""
        return _listed(self.post("/v1/similar", {"item": item, "n": n, **more}))

    def popular(self, n: int = 10, **more: Any) -> list[Recommendation]:
        """What many use; ``more``: ``trending``, ``where`` and ``diversity``."""
        return _listed(self.post("/v1/popular", {"n": n, **more}))

    def search(self, text: str, n: int = 10, **more: Any) -> list[Recommendation]:
        """Items by words of their title or categories; ``more``: ``where``."""
        return _listed(self.post("/v1/search", {"text": text, "n": n, **more}))

    def feedback(self, events: Iterable[Mapping[str, Any]]) -> int:
        """Store events, each with ``user`` and ``item``, and ``type``, ``time``, ``value`` or ``id`` as you like.

        Events without an id get one here, before the first attempt: one that is repeated stores none of them twice.

        Returns:
            How many were new.
        """
        named = [{"id": uuid.uuid4().hex} | dict(event) for event in events]
        return int(self.post("/v1/feedback", {"events": named})["stored"])

    def add_items(self, items: Iterable[Mapping[str, Any]]) -> dict[str, list[Recommendation]]:
        """Let the served bundle recommend new items at once; it needs a text tower.

        Args:
            items: Each with ``item`` (its id) and ``text``, and ``title`` and ``categories`` as you like.

        Returns:
            For every new item those most like it, by its id.
        """
        answer = self.post("/v1/items", {"items": [dict(item) for item in items]})
        return {row["item"]: _listed({"items": row["near"]}) for row in answer["items"]}

    def card(self) -> dict[str, Any]:
        """What is served."""
        return self._ask("GET", "/v1/card", None)

    def ready(self) -> bool:
        """Whether the server answers."""
        try:
            return bool(self._ask("GET", "/v2/health/ready", None)["ready"])
        except ServerError:
            return False

    def post(self, path: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """Any other question: the answer to a POST, parsed."""
        return self._ask("POST", path, json.dumps(question).encode())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        where = f"{method} {self._url}{path}"
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                self._connection.request(method, self._prefix + path, body, self._headers)
                response = self._connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()  # the next request opens another
                if last:
                    what = f"no answer ({error or type(error).__name__})"
                    raise ServerError(what, where=where, hint="is the server running?") from None
            else:
                if response.status < 400:
                    return _parsed(text, where)
                if response.status not in _AGAIN or last:
                    raise ServerError(_said(text), status=response.status, where=where)
            time.sleep(0.1 * 4**attempt)
        raise AssertionError  # the last attempt returns or raises


def _parsed(text: bytes, where: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ServerError("the answer is not ours", where=where, hint="is another server listening there?")
    return answer


def _said(text: bytes) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text[:200].decode("utf-8", "replace") or "no reason was given"


def _listed(answer: Mapping[str, Any]) -> list[Recommendation]:
    return [Recommendation(row["item"], row["title"], row["score"]) for row in answer["items"]]
