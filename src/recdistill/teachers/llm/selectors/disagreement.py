"""Where two rankings of the same context differ."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from .base import Doubles, Need, Outlook, ScorerConfig

__all__ = ["Disagreement", "agreed"]

_NUMBERS = 1 << 22
"""Pairs of items that are compared at once."""


class Disagreement(ScorerConfig):
    """Contexts in which the student's first items are others than those of a second ranker.

    The second is the teacher that ``against`` names, or else the student as it was one round ago; where neither has
    spoken, as in the first round, contexts are drawn. The score is one minus the average overlap of both lists: the
    mean over depths d from 1 to ``k`` of the share of the first d items that they have in common (Fagin et al. 2003,
    Comparing Top k Lists, https://doi.org/10.1137/S0895480102412856).
    """

    name: ClassVar[str] = "disagreement"

    k: int = Field(20, ge=1, description="first items that are compared")

    def needs(self) -> frozenset[Need]:
        return frozenset({"student", "beside"})

    def scores(self, outlook: Outlook) -> Doubles:
        assert outlook.student is not None
        if outlook.beside is None:
            return np.zeros(outlook.n)
        other = outlook.beside.items[:, : self.k]
        same = agreed(outlook.student.items, other, self.k) * (1.0 / np.arange(1, self.k + 1))
        silent = (other < 0).all(axis=1)
        return np.where(silent, np.nan, 1.0 - same.mean(axis=1))


def agreed(one: npt.NDArray[np.int32], other: npt.NDArray[np.int32], depth: int) -> Doubles:
    """How many of the first d items two lists have in common, for each depth d.

    Args:
        one: int32 ``[n, any]``, all different in a row, -1 = none.
        other: int32 ``[n, any]``.
        depth: The largest d.

    Returns:
        float64 ``[n, depth]``, for d = 1 to depth.
    """
    found = np.zeros((len(one), depth + 1))
    a, b = one[:, :depth], other[:, :depth]
    step = max(_NUMBERS // max(a.shape[1] * b.shape[1], 1), 1)
    for start in range(0, len(one), step):
        part = slice(start, start + step)
        row, left, right = np.nonzero((a[part, :, None] == b[part, None, :]) & (a[part, :, None] >= 0))
        np.add.at(found, (row + start, np.maximum(left, right)), 1)  # in common from this depth on
    return np.cumsum(found[:, :depth], axis=1)
