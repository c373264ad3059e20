"""Replies of the OpenAI protocol, read with the suspicion they deserve."""

from __future__ import annotations

import json
import math
from email.utils import parsedate_to_datetime
from typing import Any

import numpy as np

from ..exchange import Failure, Hopeless, Refusal, Reply, Request, Top, Trouble
from ..quick_json import unpacked
from .echo import read_echo

__all__ = ["read_reply", "seconds_to_wait", "trouble_of"]

_SHOWN = 300
"""Characters of a server's message that are passed on."""
_PLACES = 3
"""Places of an answer whose likeliest tokens are kept."""
_NO_MONEY = ("insufficient_quota", "billing", "credit")


def read_reply(request: Request, data: bytes) -> Reply:
    """The reply in the body of a response of status 200.

    Raises:
        Refusal: The model declined, or a filter took the answer away.
        Failure: It is no JSON, cut off, or of another form.
    """
    try:
        body = unpacked(data)
    except (ValueError, RecursionError):
        raise Failure(f"the reply is cut off or no JSON: {_shown(data)}") from None
    try:
        usage = _object(body.get("usage")) if isinstance(body, dict) else {}
        if request.route == "chat":
            return _chat(request, _object(body), usage)
        if request.route == "likelihood":
            return _likelihood(request, _object(body), usage)
        numbers = _numbers(request, _object(body))
        read = usage.get("prompt_tokens", usage.get("total_tokens"))
        counted = read is not None
        return Reply(numbers=numbers, tokens_in=_count(read) if counted else request.charged()[0], counted=counted)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise Failure(f"the reply has another form ({type(error).__name__}: {error}): {_shown(data)}") from None


def trouble_of(status: int, data: bytes, wait: float | None, key_variable: str) -> Trouble:
    """What a response of another status means.

    Args:
        status: The HTTP status.
        data: Its body.
        wait: Seconds it asks to wait for.
        key_variable: Name of the environment variable of the key.
    """
    message, code = _message(data)
    if status in (401, 403):
        hint = f"set the environment variable {key_variable} to a key that is valid there"
        return Hopeless(f"refuses the key ({status}: {message})", hint)
    if status in (404, 405) or 300 <= status < 400:
        hint = "check url and model; the url usually ends in /v1"
        return Hopeless(f"has no such model or path ({status}: {message})", hint)
    if status == 402 or (status == 429 and any(word in f"{code} {message}".lower() for word in _NO_MONEY)):
        return Hopeless(f"wants to be paid first ({status}: {message})", "pay, then run the same command again")
    why = f"status {status}: {message}"
    if "content_filter" in code or "content_policy" in code:
        return Refusal(why)
    if status in (429, 503, 529):
        return Failure(why, wait, busy=True)
    return Failure(why, wait, again=status in (408, 409, 425) or (status >= 500 and status != 501))


def seconds_to_wait(headers: Any, now: float) -> float | None:
    """What ``retry-after-ms`` or ``Retry-After`` asks for, as seconds or as a date; None if nothing readable.

    Args:
        headers: Names and values.
        now: Seconds since 1970.
    """
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * scale
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - now
            except (ValueError, TypeError, OverflowError):
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def _chat(request: Request, body: dict[str, Any], usage: dict[str, Any]) -> Reply:
    choice = body["choices"][0]
    message = choice.get("message") or {}
    text = message.get("content")
    if isinstance(text, list):  # in parts
        text = "".join(str(part.get("text", "")) for part in text)
    text = str(text or "")
    counted = "prompt_tokens" in usage
    tokens = (
        (_count(usage["prompt_tokens"]), _count(usage.get("completion_tokens"))) if counted else request.charged(text)
    )
    if choice.get("finish_reason") == "content_filter" or message.get("refusal"):
        raise Refusal(str(message.get("refusal") or "taken away by a filter")[:_SHOWN], None, *tokens)
    cut = choice.get("finish_reason") == "length"
    return Reply(text, _top(choice.get("logprobs")), cut, None, *tokens, counted)


def _likelihood(request: Request, body: dict[str, Any], usage: dict[str, Any]) -> Reply:
    try:
        numbers = read_echo(request, body, usage)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        # a server that leaves out what it was asked for will do so again
        raise Failure(
            f"no log-probabilities of the texts given ({type(error).__name__}: {error})", again=False
        ) from None
    counted = "prompt_tokens" in usage
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    tokens = (_count(read), _count(written)) if counted else request.charged()
    return Reply("", [], False, numbers, *tokens, counted)


def _top(logprobs: Any) -> list[Top]:
    """Likeliest tokens of the first places; nothing where the server gave none."""
    places = logprobs.get("content") if isinstance(logprobs, dict) else None
    found: list[Top] = []
    for place in (places or ())[:_PLACES]:
        tokens = place.get("top_logprobs") or ()
        found.append([(str(t["token"]), logp) for t in tokens if not math.isnan(logp := float(t["logprob"]))])
    return found if any(found) else []


def _numbers(request: Request, body: dict[str, Any]) -> Any:
    if request.route == "embeddings":
        vector = np.asarray(body["data"][0]["embedding"], dtype=np.float32)
        if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
            raise ValueError("no vector of finite numbers")
        return vector
    relevance = np.full(len(request.body["documents"]), np.nan, dtype=np.float32)
    for result in body["results"]:
        relevance[result["index"]] = result.get("relevance_score", result.get("score"))
    if not np.isfinite(relevance).all():
        raise ValueError("a document has no relevance")
    return relevance


def _message(data: bytes) -> tuple[str, str]:
    """Text and code of an error, in whichever of the usual forms."""
    try:
        body = json.loads(data)
        error = body.get("error", body) if isinstance(body, dict) else body
        if isinstance(error, dict):
            text = error.get("message") or error.get("detail") or error
            return _shown(str(text).encode()), f"{error.get('code', '')} {error.get('type', '')}".lower()
        return _shown(str(error).encode()), ""
    except (ValueError, RecursionError):
        return _shown(data), ""


def _shown(data: bytes) -> str:
    text = " ".join(data[: 4 * _SHOWN].decode("utf-8", "replace").split())
    return (text[:_SHOWN] + " …" if len(text) > _SHOWN else text) or "nothing"


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and 0 <= value < 1e12 else 0
