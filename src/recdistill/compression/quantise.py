"""Fewer bits for each number: 8 or 4 bits with a scale for each row, or half precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["LEVELS", "Packed", "Precision", "pack", "pack_nibbles"]

Precision = Literal["int4", "int8", "float16", "float32"]
LEVELS = {"int8": 127, "int4": 7}
"""Largest whole number of each precision that has a scale for each row."""
_SHRUNK = np.linspace(1.0, 0.5, 26)
"""Shares of a row's largest value that are tried as its largest level in 4 bits."""


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A matrix in fewer bits.

    Attributes:
        values: int8, float16 or float32, of the shape of the matrix; numbers of 4 bits are int8 in -7..7 here.
        scales: float32, one for each row of the last axis (8 and 4 bits): row ``r`` stands for
            ``values[r] * scales[r]``.
        bits: Of a number, where they are fewer than the type of ``values`` has.
    """

    values: npt.NDArray[Any]
    scales: npt.NDArray[np.float32] | None = None
    bits: int | None = None

    def stored(self) -> npt.NDArray[Any]:
        """The values as they are written: numbers of 4 bits two in a byte."""
        return pack_nibbles(self.values) if self.bits == 4 else self.values

    def unpack(self) -> npt.NDArray[np.float32]:
        """The matrix again, as float32."""
        values: npt.NDArray[np.float32] = self.values.astype(np.float32)
        return values if self.scales is None else values * self.scales[..., None]


def pack(matrix: npt.NDArray[np.float32], precision: Precision) -> Packed:
    """Store a matrix in fewer bits.

    int8 is symmetric with a scale for each row, so that the largest value of the row becomes ±127 and no value moves by
    more than half a scale. int4 has the levels -7..7; there, values far from the others would cost all of them their
    precision, so the largest level is the share of the largest value that leaves the least squared error. A matrix that
    was packed before is packed without a further error. float16 saturates instead of overflowing.

    Args:
        matrix: float32 ``[..., width]``, finite.
        precision: ``"int4"``, ``"int8"``, ``"float16"`` or ``"float32"``.
    """
    if precision == "float32":
        return Packed(matrix.astype(np.float32))
    if precision == "float16":
        limit = float(np.finfo(np.float16).max)
        return Packed(np.clip(matrix, -limit, limit).astype(np.float16))
    levels = LEVELS[precision]
    scales = np.abs(matrix).max(axis=-1, initial=0.0).astype(np.float32) / levels
    if precision == "int4":
        scales = _least_error(matrix, scales, levels)
    return Packed(_rounded(matrix, scales, levels).astype(np.int8), scales, 4 if precision == "int4" else None)


def pack_nibbles(values: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Two numbers of 4 bits in a byte, the inverse of :func:`recdistill.serving.tables.nibbles`.

    Args:
        values: int8 ``[..., width]``, -8 to 7.

    Returns:
        uint8 ``[..., (width + 1) // 2]``.
    """
    odd = values.shape[-1] % 2
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, odd)]) if odd else values
    shifted = (padded + np.int8(8)).astype(np.uint8)
    return shifted[..., 0::2] | (shifted[..., 1::2] << np.uint8(4))


def _rounded(matrix: npt.NDArray[np.float32], scales: npt.NDArray[np.float32], levels: int) -> npt.NDArray[np.float32]:
    safe = np.where(scales > 0, scales, np.float32(1.0))
    return np.clip(np.rint(matrix / safe[..., None]), -levels, levels)


def _least_error(
    matrix: npt.NDArray[np.float32], whole: npt.NDArray[np.float32], levels: int
) -> npt.NDArray[np.float32]:
    """Of each row the scale, at most ``whole``, by which rounding and clipping leave the least squared error."""
    best, least = whole, np.full(whole.shape, np.inf)
    for share in _SHRUNK:
        scales = (whole * share).astype(np.float32)
        error = np.square(_rounded(matrix, scales, levels) * scales[..., None] - matrix, dtype=np.float64).sum(axis=-1)
        # a clear gain only, so that what was packed before keeps its scale
        better = error < least * (1 - 1e-6)
        best, least = np.where(better, scales, best), np.where(better, error, least)
    return best
