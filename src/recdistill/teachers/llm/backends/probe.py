"""What an endpoint can do, found out by a few short requests before anything is spent."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ....errors import TeacherError, nearest
from ..exchange import Capabilities, Failure, Hopeless, Refusal, Reply, Request, Trouble, Unreachable

if TYPE_CHECKING:
    from .endpoint import OpenEndpoint

__all__ = ["probe"]

T = TypeVar("T")

_TOP = (20, 5, 1)
"""Numbers of log-probabilities that are tried, most first: what servers commonly allow."""
_TRIES = 4
_LIKELY = {"prefixes": ["One, two,"], "continuations": [" three", " seventy-four"]}


async def probe(endpoint: OpenEndpoint, model: str | None) -> Capabilities:
    """Ask for the models, and for one token in several ways.

    Raises:
        TeacherError: Nobody is there, the key is refused, or there is no model of that name.
    """
    listed = await _models(endpoint)
    name = model or _only(listed, endpoint.place)
    if listed and name not in listed:
        hint = nearest(name, listed)
        raise TeacherError(f"has no model {name!r}", where=endpoint.place, hint=hint)
    endpoint.meet(Capabilities(name, name))
    start = time.monotonic()
    troubles: list[str] = []
    chat = await _ask(endpoint, Request("chat", _short()), troubles)
    seconds = time.monotonic() - start
    top = 0
    for wanted in _TOP if chat is not None else ():
        reply = await _ask(endpoint, Request("chat", _short(logprobs=True, top_logprobs=wanted)))
        if reply is not None:
            top = max((len(place) for place in reply.top), default=0)
            break
    json_mode = chat is not None and await _json(endpoint)
    embeds = await _ask(endpoint, Request("embeddings", {"input": ["a"]})) is not None
    ranks = await _ask(endpoint, Request("rerank", {"query": "a", "documents": ["a", "b"]})) is not None
    likely = await _ask(endpoint, Request("likelihood", _LIKELY))
    likelihood = likely is not None and likely.numbers is not None
    if chat is None and not embeds and not ranks and not likelihood:
        why = f" ({troubles[0]})" if troubles else ""
        raise TeacherError(
            f"answers nothing: no chat, no embeddings, no ranking, no likelihood{why}", where=endpoint.place,
            hint="see what the server itself says, and whether the url is that of the OpenAI protocol",
        )  # fmt: skip
    context = listed.get(name)
    return Capabilities(name, name, top, json_mode, context, embeds, ranks, chat is not None, seconds, likelihood)


def _short(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Say A."}], "max_tokens": 1, "temperature": 0, **more}


async def _json(endpoint: OpenEndpoint) -> bool:
    body = _short(response_format={"type": "json_object"}, max_tokens=24)
    body["messages"] = [{"role": "user", "content": 'Answer with the JSON object {"a": 1}.'}]
    reply = await _ask(endpoint, Request("chat", body))
    return reply is not None and reply.text.lstrip().startswith("{")


async def _models(endpoint: OpenEndpoint) -> dict[str, int | None]:
    """Names of the models with their context; empty if the endpoint does not list them."""
    try:
        listed = json.loads(await _patient(endpoint, lambda: endpoint.exchange("GET", "/models")))["data"]
        return {str(model["id"]): _context(model) for model in listed}
    except Hopeless as error:
        if "key" in error.why:
            raise _told(error, endpoint) from None
        return {}  # not every server lists its models
    except Trouble as error:
        _see_whether_it_could(error, endpoint)
        return {}
    except (ValueError, KeyError, TypeError):
        return {}


def _context(model: dict[str, Any]) -> int | None:
    """vLLM, SGLang and llama.cpp each have a word for it."""
    found = model.get("max_model_len") or model.get("context_length") or (model.get("meta") or {}).get("n_ctx")
    return int(found) if isinstance(found, int) else None


def _only(listed: dict[str, int | None], place: str) -> str:
    if len(listed) == 1:
        return next(iter(listed))
    known = f"set model to one of: {', '.join(sorted(listed)[:20])}" if listed else "set model"
    raise TeacherError("which model shall answer?", where=place, hint=known)


async def _ask(endpoint: OpenEndpoint, request: Request, troubles: list[str] | None = None) -> Reply | None:
    """One reply; None if this is nothing that the endpoint does, and why is added to ``troubles``.

    Raises:
        TeacherError: The key or the model's name is wrong, or it has too much to do to say.
    """
    try:
        return await _patient(endpoint, lambda: endpoint.ask(endpoint.completed(request), "probe"))
    except Refusal:
        return Reply()
    except Hopeless as error:
        if request.route == "chat":
            raise _told(error, endpoint) from None
        return None
    except Trouble as error:
        if request.route == "chat":
            _see_whether_it_could(error, endpoint)
        if troubles is not None:
            troubles.append(error.why)
        return None


async def _patient(endpoint: OpenEndpoint, work: Callable[[], Awaitable[T]]) -> T:
    """Try a few times, as the server may just be starting or busy."""
    for tries in range(1, _TRIES):
        try:
            return await work()
        except Unreachable:
            await asyncio.sleep(0.25 * 2**tries)
        except Failure as error:
            if not (error.busy or error.again) or (error.slow and tries > 1):
                raise  # each try of a slow server takes as long as an exchange may
            # what fails once may pass; to take it for "cannot" would change every question, and pay for all anew
            pause = 2.0**tries if error.busy else 0.25 * 2.0**tries
            await asyncio.sleep(min(error.wait or pause, 60.0))
    try:
        return await work()
    except Unreachable as error:
        raise TeacherError(error.why, where=endpoint.place, hint="start the server, or correct the url") from None


def _see_whether_it_could(error: Trouble, endpoint: OpenEndpoint) -> None:
    """Tell what it could do at another time from what it cannot do.

    Raises:
        TeacherError: It has too much to do, or takes too long.
    """
    if isinstance(error, Failure) and error.busy:
        hint = "run the same command when it has less to do"
        raise TeacherError(f"has too much to do ({error.why})", where=endpoint.place, hint=hint) from None
    if isinstance(error, Failure) and error.slow:
        hint = "see whether it answers at all, or raise timeout"
        raise TeacherError(error.why, where=endpoint.place, hint=hint) from None


def _told(error: Hopeless, endpoint: OpenEndpoint) -> TeacherError:
    return TeacherError(error.why, where=endpoint.place, hint=error.hint)
