"""What a bundle may weigh and how long a recommendation may take, in the words of a user."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from ..config import Config
from ..errors import ConfigError

__all__ = ["Budget", "Duration", "Share", "Size", "parse_duration", "parse_share", "parse_size"]

_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_MILLISECONDS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}


def parse_size(text: Any) -> Any:
    """``"2MB"``, ``"500 kB"``, ``"1.5 MiB"`` or a number of bytes, as bytes.

    Raises:
        ConfigError: It is no size.
    """
    return round(_parsed(text, _BYTES, "a size", "write a number and kB, MB or GB, as in 2MB")) if _is(text) else text


def parse_duration(text: Any) -> Any:
    """``"0.1ms"``, ``"80 us"``, ``"1 s"``, as milliseconds; a bare number is milliseconds.

    Raises:
        ConfigError: It is no duration.
    """
    known = {"": 1.0} | _MILLISECONDS
    return _parsed(text, known, "a duration", "write a number and us, ms or s, as in 0.1ms") if _is(text) else text


def parse_share(text: Any) -> Any:
    """``"0.5%"`` or ``0.005``, as a share.

    Raises:
        ConfigError: It is no share.
    """
    known = {"": 1.0, "%": 0.01}
    return _parsed(text, known, "a share", "write a percentage, as in 0.5%") if _is(text) else text


Size = Annotated[int, BeforeValidator(parse_size), Field(gt=0)]
Duration = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]
Share = Annotated[float, BeforeValidator(parse_share), Field(ge=0, lt=1)]


class Budget(Config):
    """What the served bundle may cost."""

    name: ClassVar[str] = "budget"

    under: Size | None = Field(None, description="largest size of the bundle on disk, as in 2MB")
    faster_than: Duration | None = Field(
        None, description="longest time of one recommendation on one thread, median, as in 0.1ms"
    )


def _is(text: Any) -> bool:
    return isinstance(text, str)


def _parsed(text: str, units: dict[str, float] | dict[str, int], what: str, hint: str) -> float:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zµ%]*)\s*", text.lower())
    known = {"": 1} | units if "b" in units else units
    if found is None or found[2] not in known:
        raise ConfigError(f"{text!r} is not {what}", hint=hint)
    return float(found[1]) * known[found[2]]
