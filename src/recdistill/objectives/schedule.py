"""How the weight or the temperature of a loss term changes over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ..config import Config
from ..errors import ConfigError

__all__ = ["Schedule", "Temperature", "Weight"]

_TEMPERATURES = (0.25, 100.0)


class Schedule(Config):
    """A number over time: warm-up from 0 to ``start``, then from ``start`` to ``end`` in ``epochs``, then ``end``.

    ``linear`` and ``cosine`` go there as named; ``decay`` is exponential, so both ends must be above 0; ``constant``
    stays at ``start``. ``{start: 0.5, shape: linear, epochs: 20}`` anneals a weight away within 20 epochs;
    ``{start: 4, end: 1, shape: linear, epochs: 20}`` cools a temperature.
    """

    name: ClassVar[str] = "schedule"

    start: float = Field(1.0, ge=0)
    end: float = Field(0.0, ge=0)
    shape: Literal["constant", "linear", "cosine", "decay"] = "constant"
    epochs: float = Field(10.0, gt=0, description="length of the way from start to end")
    warmup: float = Field(0.0, ge=0, description="epochs before it, rising linearly from 0")

    @model_validator(mode="before")
    @classmethod
    def _way_has_a_shape(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "shape" not in values:
            for key in ("end", "epochs"):
                if key in values:
                    what = f"{key} without a shape: the way there may be linear, cosine or decay"
                    raise ConfigError(what, key=(key,), hint="add shape: linear")
        return values

    @property
    def is_zero(self) -> bool:
        """Whether it is 0 at all times."""
        return self.start == 0 and (self.shape == "constant" or self.end == 0)

    @model_validator(mode="after")
    def _decay_above_zero(self) -> Schedule:
        if self.shape == "decay" and not (self.start > 0 and self.end > 0):
            raise ConfigError("shape 'decay' needs start and end above 0", key=("end",), hint="use 'linear' to reach 0")
        return self

    def at(self, epoch: float) -> float:
        """The weight at a time.

        Args:
            epoch: Epochs since training began, fractions allowed.
        """
        if epoch < self.warmup:
            return self.start * epoch / self.warmup
        way = min((epoch - self.warmup) / self.epochs, 1.0)
        match self.shape:
            case "constant":
                return self.start
            case "linear":
                return self.start + (self.end - self.start) * way
            case "cosine":
                return self.end + (self.start - self.end) * (1 + math.cos(math.pi * way)) / 2
            case "decay":
                return float(self.start * (self.end / self.start) ** way)


def _number_is_constant(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"start": value}
    if not isinstance(value, Mapping | Schedule):
        hint = "as in 0.5, or {start: 0.5, end: 0, shape: linear, epochs: 20}"
        raise ConfigError(f"neither a number nor a schedule over the epochs (got {value!r:.80})", hint=hint)
    return value


def _possible(value: Schedule) -> Schedule:
    low, high = _TEMPERATURES
    ends = (value.start,) if value.shape == "constant" else (value.start, value.end)
    if value.warmup or min(ends) < low or max(ends) > high:
        what = f"a temperature lies between {low} and {high:g} and has no warm-up (got {ends[0]:g} to {ends[-1]:g})"
        raise ConfigError(what, hint="give start and end, as in {start: 4, end: 1, shape: linear, epochs: 20}")
    return value


Weight = Annotated[Schedule, BeforeValidator(_number_is_constant)]
"""A schedule, or a number for a constant one."""

Temperature = Annotated[Schedule, BeforeValidator(_number_is_constant), AfterValidator(_possible)]
"""The same between 0.25 and 100, without warm-up."""
