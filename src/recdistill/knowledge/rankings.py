"""Rankings in memory: the first k items with log-probabilities, and how much probability the rest has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..data.sequences import Sequences
from ..errors import KnowledgeError

__all__ = ["TAIL_BETAS", "Rankings", "rankings_of", "rankings_of_candidates"]

Floats = npt.NDArray[np.float32]

TAIL_BETAS = (1.0, 0.5, 0.25)
"""Inverse temperatures at which the sum over unlisted items is stored."""

_CHUNK_NUMBERS = 1 << 22


@dataclass(frozen=True, slots=True, eq=False)
class Rankings:
    """What a teacher ranks first in ``n`` contexts.

    Attributes:
        items: int32 ``[n, k]``, best first; -1 = none (always behind the items).
        logp: float32 ``[n, k]``, natural-log probabilities under the teacher's softmax over the catalogue at
            temperature 1, descending; -inf where there is no item.
        tail: float32 ``[n, 3]``, log Σ exp(β · logp) over the items not listed, for β in ``TAIL_BETAS``; -inf where
            none is left.
        confidence: float32 ``[n]`` in [0, 1]; 0 = no answer.
    """

    items: npt.NDArray[np.int32]
    logp: Floats
    tail: Floats
    confidence: Floats

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<Rankings: {len(self):,}, of {self.items.shape[1]} items each>"

    def take(self, rows: npt.NDArray[np.int64]) -> Rankings:
        """Some of the rankings."""
        return Rankings(self.items[rows], self.logp[rows], self.tail[rows], self.confidence[rows])

    @staticmethod
    def none(n: int, k: int) -> Rankings:
        """``n`` times no answer."""
        return Rankings(
            np.full((n, k), -1, dtype=np.int32),
            np.full((n, k), -np.inf, dtype=np.float32),
            np.full((n, len(TAIL_BETAS)), -np.inf, dtype=np.float32),
            np.zeros(n, dtype=np.float32),
        )

    def tail_at(self, temperature: float, n_items: int) -> Floats:
        """log Σ exp(logp / T) over the items not listed: float32 ``[n]``.

        As a function of β = 1/T it is interpolated by the cubic through the three stored points and the number of
        unlisted items at β = 0, exact at T = 1, 2, 4. Below T = 1 it is an upper bound, ``tail(1) + (β − 1) · lowest
        listed logp``, reached if the unlisted items are as likely as the last listed one.

        Args:
            temperature: T > 0.
            n_items: Catalogue size.
        """
        beta = 1.0 / temperature
        listed = (self.items >= 0).sum(axis=1)
        unlisted = n_items - listed
        none = np.isneginf(self.tail).any(axis=1) | (unlisted <= 0)
        known = np.where(none[:, None], 0.0, self.tail)
        if beta > 1:
            lowest = np.take_along_axis(self.logp, np.maximum(listed - 1, 0)[:, None], axis=1)[:, 0]
            value = known[:, 0] + (beta - 1) * np.where(listed > 0, lowest, 0.0)
        else:
            values = np.column_stack([known, np.log(np.maximum(unlisted, 1))])
            value = values @ _lagrange(beta, (*TAIL_BETAS, 0.0))
        return np.where(none, -np.inf, value).astype(np.float32)


def rankings_of(scores: Floats, k: int, exclude: Sequences | None = None) -> Rankings:
    """Log-softmax, first ``k`` and tails of full score rows.

    Args:
        scores: float32 ``[n, n_items]``, higher is better; -inf for items that cannot be.
        k: Items listed; rows with fewer end in -1.
        exclude: One row per row of scores: items that get no probability, for example the history.

    Raises:
        KnowledgeError: A score is NaN or +inf.
    """
    scores = np.asarray(scores, dtype=np.float32)
    n, n_items = scores.shape
    step = max(1, _CHUNK_NUMBERS // max(n_items, 1))
    items = np.full((n, k), -1, dtype=np.int32)
    logp = np.full((n, k), -np.inf, dtype=np.float32)
    tail = np.full((n, len(TAIL_BETAS)), -np.inf, dtype=np.float32)
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        chunk = scores[part].astype(np.float64)
        if np.isnan(chunk).any() or np.isposinf(chunk).any():
            raise KnowledgeError("the teacher gave a score that is not a number", where=f"context {start} or later")
        if exclude is not None:
            seen = exclude.take(np.arange(part.start, part.stop))
            chunk[seen.row_of_event(), seen.items] = -np.inf
        _rank(chunk, items[part], logp[part], tail[part])
    return Rankings(items, logp, tail, (items[:, 0] >= 0).astype(np.float32))


def rankings_of_candidates(
    items: npt.NDArray[np.int32],
    logp: npt.NDArray[np.floating],
    rest: npt.NDArray[np.floating],
    n_items: int,
    confidence: Floats,
) -> Rankings:
    """Rankings of a few items that somebody judged, sorted; the others of the catalogue share evenly what is left.

    Args:
        items: int32 ``[n, k]``; -1 = none, anywhere in a row.
        logp: float ``[n, k]``, natural-log probabilities.
        rest: float ``[n]``, probability of all unlisted items together, above 0.
        n_items: Catalogue size.
        confidence: float32 ``[n]`` in [0, 1].
    """
    values = np.where(items >= 0, logp, -np.inf)
    order = np.argsort(-values, axis=1, kind="stable")
    items, values = np.take_along_axis(items, order, axis=1), np.take_along_axis(values, order, axis=1)
    items = np.where(np.isneginf(values), -1, items).astype(np.int32)
    unlisted = n_items - (items >= 0).sum(axis=1)
    count = np.log(np.maximum(unlisted, 1))
    tail = np.stack([count + beta * (np.log(rest) - count) for beta in TAIL_BETAS], axis=1)
    tail[unlisted == 0] = -np.inf
    return Rankings(items, values.astype(np.float32), tail.astype(np.float32), confidence)


def _rank(scores: npt.NDArray[np.float64], items: npt.NDArray[np.int32], logp: Floats, tail: Floats) -> None:
    """Fill one chunk of the results."""
    k = min(items.shape[1], scores.shape[1])
    total = _logsumexp(scores)
    scores -= np.where(np.isneginf(total), 0.0, total)[:, None]
    first = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    first.sort(axis=1)  # so that equal scores are listed by index
    values = np.take_along_axis(scores, first, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    first, values = np.take_along_axis(first, order, axis=1), np.take_along_axis(values, order, axis=1)
    real = ~np.isneginf(values)
    items[:, :k], logp[:, :k] = np.where(real, first, -1), values
    np.put_along_axis(scores, first, -np.inf, axis=1)
    for column, beta in enumerate(TAIL_BETAS):
        tail[:, column] = _logsumexp(beta * scores)


def _logsumexp(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Row-wise; -inf for rows of only -inf."""
    top = np.maximum(values.max(axis=1, keepdims=True), -np.finfo(np.float64).max)
    with np.errstate(divide="ignore"):
        return np.asarray(top[:, 0] + np.log(np.exp(values - top).sum(axis=1)))


def _lagrange(at: float, points: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Weights of the values at ``points`` in the interpolating polynomial's value at ``at``."""
    others = [[b for b in points if b != a] for a in points]
    return np.array([np.prod([(at - b) / (a - b) for b in rest]) for a, rest in zip(points, others, strict=True)])
