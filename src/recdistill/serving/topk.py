"""The k best of many scores, exactly and on one core."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["floor_of", "top_k"]

_GROUPS = 256

Scores = npt.NDArray[np.float32]


def top_k(scores: Scores, k: int) -> npt.NDArray[np.int64]:
    """Indices of the k highest scores, highest first; equal scores in the order of their index.

    Few scores reach the floor of :func:`floor_of`, and only those are sorted: several times as fast as a partition of
    10,000.

    Args:
        scores: float32 ``[n]``; -inf marks what must not be recommended.
        k: How many, at most.

    Returns:
        int64 ``[m]`` with ``m <= k``; -inf is left out.
    """
    # methods instead of functions of the same name: ten calls of a microsecond each are what this costs
    floor = floor_of(scores, k)
    at = (scores >= floor if floor > -np.inf else scores > floor).nonzero()[0]
    return at[(-scores[at]).argsort(kind="stable")[:k]]


def floor_of(scores: Scores, k: int) -> np.float32:
    """A number that at least k scores reach and few others do, or -inf.

    The scores are dealt into groups. At least k of them reach the k-th highest maximum of a group, so no score below it
    can be among the k best.
    """
    groups = _GROUPS * max(1, k // (_GROUPS // 4))
    if not 0 < k <= groups <= len(scores):
        return np.float32(-np.inf)
    maxima = np.maximum.reduce(scores[: len(scores) // groups * groups].reshape(-1, groups))
    maxima.partition(groups - k)
    floor: np.float32 = maxima[groups - k]
    return floor
