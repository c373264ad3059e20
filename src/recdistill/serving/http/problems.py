"""Which status and which words an exception becomes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from ...errors import BundleError, ConfigError, RecdistillError, StoreError

__all__ = ["Said", "said"]

log = logging.getLogger("recdistill.server")


class Said(NamedTuple):
    """What the client is told."""

    status: int
    what: str
    headers: Mapping[str, str]


def said(error: Exception, request: str) -> Said:
    """What a client is told about an exception; what is ours to put right goes into the log, and only there.

    Args:
        error: What happened.
        request: Id of the request, for the log.
    """
    if isinstance(error, HTTPException):
        return Said(error.status_code, _of_http(error), error.headers or {})
    if isinstance(error, ValidationError | RequestValidationError):
        return Said(422, _one_line(error), {})
    if isinstance(error, StoreError):
        log.error("the event store failed", extra={"fields": {"request": request, "reason": str(error)}})
        return Said(503, "the event store does not answer just now; try again", {"retry-after": "5"})
    if isinstance(error, RecdistillError):
        status = 409 if isinstance(error, BundleError) else 422 if isinstance(error, ConfigError) else 400
        # not where: places on our disk are nobody's business
        return Said(status, error.what if error.hint is None else f"{error.what}; {error.hint}", {})
    log.error("a request failed", exc_info=error, extra={"fields": {"request": request}})
    return Said(500, "something went wrong here; the log says more under this request's id", {})


def _of_http(error: HTTPException) -> str:
    """What Starlette leaves at a name of the status says what to do, too."""
    if error.detail == "Method Not Allowed" and (allowed := (error.headers or {}).get("Allow")):
        return f"the place takes another method: {allowed}"
    return "no such place; /docs has them all" if error.detail == "Not Found" else error.detail


def _one_line(error: ValidationError | RequestValidationError) -> str:
    """The first thing that is wrong with a question, and where; a key that does not exist before one that is missing.

    Who calls a key by a wrong name leaves the right one out: only together the two explain it.
    """
    found: Sequence[Any] = error.errors() if isinstance(error, RequestValidationError) else error.errors(
        include_url=False, include_input=False, include_context=False
    )  # fmt: skip
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    if first["type"] != "extra_forbidden":
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    beside = [str(one["loc"][-1]) for one in found if one["type"] == "missing" and one["loc"][:-1] == first["loc"][:-1]]
    return f"{place}: no such key" + (f"; needed here: {', '.join(beside)}" if beside else "; /docs has them all")
