"""JSON as bytes, by orjson where it is installed, which takes a fifth of the time."""

from __future__ import annotations

import json
from typing import Any

try:
    import orjson
except ImportError:  # without the extra llm, for models in this process
    orjson = None  # type: ignore[assignment]

__all__ = ["exactly", "packed", "unpacked"]

_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def exactly(value: Any) -> bytes:
    """A value in the one form that is hashed: sorted keys, no spaces, UTF-8; half a surrogate is ``?``.

    Always by the standard library: orjson writes some numbers otherwise, and what was answered would be asked again.
    """
    return _JSON.encode(value).encode("utf-8", "replace")


def packed(value: Any) -> bytes:
    """A value without None in a form for :func:`unpacked`, which gives it back."""
    if orjson is not None:
        try:
            data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # half a surrogate
            return exactly(value)
        if b"null" not in data:  # what orjson makes of an infinity
            return data
    return exactly(value)


def unpacked(data: bytes) -> Any:
    """What JSON says, also where it says ``NaN`` or ``Infinity``: servers write these although JSON has none.

    Raises:
        ValueError: It is none.
        RecursionError: It is too deep.
    """
    if orjson is not None:
        try:
            return orjson.loads(data)
        except ValueError:  # the standard library has the last word
            pass
    return json.loads(data)
