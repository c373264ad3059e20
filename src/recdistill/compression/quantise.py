"""Fewer bits for each number: int8 with a scale for each row, or half precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, nearest

__all__ = ["Packed", "Precision", "check_precision", "pack"]

Precision = Literal["int8", "float16", "float32"]
_LEVELS = 127


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A matrix in fewer bits.

    Attributes:
        values: int8, float16 or float32, of the shape of the matrix.
        scales: float32, one for each row of the last axis (int8 only): row ``r`` stands for ``values[r] * scales[r]``.
    """

    values: npt.NDArray[Any]
    scales: npt.NDArray[np.float32] | None = None

    def unpack(self) -> npt.NDArray[np.float32]:
        """The matrix again, as float32."""
        values: npt.NDArray[np.float32] = self.values.astype(np.float32)
        return values if self.scales is None else values * self.scales[..., None]


def pack(matrix: npt.NDArray[np.float32], precision: Precision) -> Packed:
    """Store a matrix in fewer bits.

    int8 is symmetric with a scale for each row, so that the largest value of the row becomes ±127 and no value moves by
    more than half a scale. float16 saturates instead of overflowing.

    Args:
        matrix: float32 ``[..., width]``, finite.
        precision: ``"int8"``, ``"float16"`` or ``"float32"``.
    """
    if precision == "float32":
        return Packed(matrix.astype(np.float32))
    if precision == "float16":
        limit = float(np.finfo(np.float16).max)
        return Packed(np.clip(matrix, -limit, limit).astype(np.float16))
    scales = np.abs(matrix).max(axis=-1, initial=0.0).astype(np.float32) / _LEVELS
    safe = np.where(scales > 0, scales, 1.0)
    return Packed(np.rint(matrix / safe[..., None]).astype(np.int8), scales)


def check_precision(name: str) -> Precision:
    """The name as a :data:`Precision`.

    Raises:
        ConfigError: There is no such precision.
    """
    known = get_args(Precision)
    if name not in known:
        raise ConfigError(f"no precision is called {name!r}", key=("vectors",), hint=nearest(name, known))
    return name  # type: ignore[return-value]
