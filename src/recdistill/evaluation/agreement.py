"""How much of the teacher arrived: agreement of ranked lists, and the transfer ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Transfer", "common", "overlap", "rank_biased_overlap", "transfer_ratio"]

Values = npt.NDArray[np.float64]
Items = npt.NDArray[np.int32]
_PAIRS = 8_000_000
"""Pairs of items that are compared at a time."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """The share of the teacher's gain that reached the student.

    Attributes:
        ratio: ``(distilled - alone) / (teacher - alone)``; 1: all of it; above 1: the student passed its teacher;
            below 0: distillation did harm. None where it has no meaning.
        explanation: In words, with the reason where there is no ratio.
    """

    ratio: float | None
    explanation: str


def transfer_ratio(distilled: float, alone: float, teacher: float) -> Transfer:
    """Transfer ratio of one metric.

    Args:
        distilled: The student that was taught.
        alone: The same student, tuned without a teacher.
        teacher: The teacher itself.
    """
    if not np.isfinite([distilled, alone, teacher]).all():
        return Transfer(None, "no transfer ratio: one of the three models has no value")
    if teacher <= alone:
        lead = f"the teacher ({teacher:.4f}) is not better than the student alone ({alone:.4f})"
        return Transfer(None, f"no transfer ratio: {lead}, so there is no gain to pass on")
    ratio = (distilled - alone) / (teacher - alone)
    change = f"the student went from {alone:.4f} to {distilled:.4f}, the teacher has {teacher:.4f}"
    return Transfer(ratio, f"{ratio:.0%} of the teacher's lead arrived: {change}")


def common(ranked: Items, other: Items) -> npt.NDArray[np.bool_]:
    """Which items of a list are also in the other list: bool ``[n, depth of ranked]``, False for none (-1)."""
    step = max(1, _PAIRS // max(ranked.shape[1] * other.shape[1], 1))
    blocks = (slice(start, start + step) for start in range(0, len(ranked), step))
    found = [(ranked[block, :, None] == other[block, None, :]).any(axis=2) for block in blocks]
    return np.concatenate([np.zeros((0, ranked.shape[1]), dtype=np.bool_), *found]) & (ranked >= 0)


def overlap(ranked: Items, teacher: Items, k: int) -> Values:
    """Overlap@k: the number of items that both lists have in their first k, over k. float64 ``[n]``."""
    return _shared(ranked, teacher, k)[:, -1] / k


def rank_biased_overlap(ranked: Items, teacher: Items, k: int, p: float = 0.9) -> Values:
    r"""RBO@k: agreement of two rankings that weighs their tops most (Webber et al. 2010,
    https://doi.org/10.1145/1852102.1852106, equation 30, extrapolated from depth k).

    With :math:`X_d` the number of items shared by the first d of both,
    :math:`\frac{X_k}{k} p^k + (1 - p) \sum_{d=1}^{k} \frac{X_d}{d} p^{d-1}`: 1 for equal lists, 0 for disjoint ones.

    Args:
        ranked: int32 ``[n, depth]``, -1 for none.
        teacher: The same of the teacher.
        k: Depth that is compared.
        p: Chance that a reader goes on to the next rank, in 0..1.

    Returns:
        float64 ``[n]``.
    """
    depth = np.arange(1, k + 1)
    agreement = _shared(ranked, teacher, k) / depth
    return agreement[:, -1] * p**k + (1 - p) * (agreement @ p ** (depth - 1.0))


def _shared(a: Items, b: Items, k: int) -> npt.NDArray[np.int64]:
    """Items shared by the first 1, 2, .. k of both lists: int64 ``[n, k]``."""
    out = np.zeros((len(a), k), dtype=np.int64)
    step = max(1, _PAIRS // (k * k))
    depth = np.arange(k)
    for start in range(0, len(a), step):
        one, other = a[start : start + step, :k], b[start : start + step, :k]
        row, i, j = np.nonzero((one[:, :, None] == other[:, None, :]) & (one >= 0)[:, :, None])
        # a pair at ranks i and j is shared from depth max(i, j) on
        np.add.at(out, (start + row, np.maximum(depth[i], depth[j])), 1)
    return out.cumsum(axis=1)
