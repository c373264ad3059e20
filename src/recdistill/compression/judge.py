"""The rank gate: what a compressed model still ranks as it did, and whether that is enough."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.dataset import Contexts, Split
from ..data.popular import head_items
from ..evaluation.agreement import overlap
from ..evaluation.bootstrap import Comparison, compare
from ..evaluation.metrics import accuracy, hits
from ..evaluation.ranking import rank
from ..serving import Bundle
from .gate import Gate
from .served import ServedModel

__all__ = ["Judge", "Measured", "Verdict", "latency"]

Values = npt.NDArray[np.float64]
K = 10
"""Length of the lists that are compared."""
_TIMED, _ROUNDS = 200, 5


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A bundle on the validation contexts.

    Attributes:
        ndcg: NDCG@10 of each context: float64 ``[n]``, NaN without targets.
        tail: Recall@10 of the targets in the tail: float64 ``[n]``, NaN where there is none.
        ranked: First 10 items of each context: int32 ``[n, 10]``.
        bytes: Of the whole bundle.
        model_bytes: Of vectors and encoder: without the item table, the card and the manifest.
        p50_ms: Median time of one recommendation, in process, on one thread.
        p99_ms: Its 99th percentile.
    """

    ndcg: Values
    tail: Values
    ranked: npt.NDArray[np.int32]
    bytes: int
    model_bytes: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a step may stay.

    Attributes:
        kept: It may.
        reason: In words, with the figures it turns on.
        ndcg: NDCG@10 against the uncompressed model.
        overlap: Share of its first 10 items that came.
        tail: Recall@10 of the tail against it.
    """

    kept: bool
    reason: str
    ndcg: Comparison
    overlap: float
    tail: Comparison


class Judge:
    """Measures bundles on validation and compares them with the uncompressed one.

    Args:
        split: Its validation contexts are asked, its training events define the tail.
        gate: What may be lost.
        exclude_history: Whether items of the history are left out, as in serving.
    """

    def __init__(self, split: Split, gate: Gate, exclude_history: bool = True) -> None:
        self.gate, self.exclude_history = gate, exclude_history
        step = -(-len(split.valid) // gate.contexts) or 1
        self.contexts: Contexts = split.valid.take(np.arange(0, len(split.valid), step))
        tail = ~head_items(split.popularity) & (split.popularity > 0)
        self._tail = self.contexts.targets.keep(tail[self.contexts.targets.items])

    def measure(self, bundle: Bundle) -> Measured:
        """Ask a bundle, and take its time and size."""
        ranked = rank(ServedModel(bundle), self.contexts, K, exclude_history=self.exclude_history)
        sizes = bundle.place.sizes
        beside = sum(size for name, size in sizes.items() if name in _BESIDE)
        p50, p99 = latency(bundle, self.contexts)
        return Measured(
            ndcg=accuracy("ndcg", hits(ranked, self.contexts.targets), K),
            tail=accuracy("recall", hits(ranked, self._tail), K),
            ranked=ranked,
            bytes=sum(sizes.values()),
            model_bytes=sum(sizes.values()) - beside,
            p50_ms=p50,
            p99_ms=p99,
        )

    def judge(self, measured: Measured, whole: Measured) -> Verdict:
        """Compare a bundle with the uncompressed one, context by context.

        NDCG counts by its mean: the allowed drop is a promise about it. Where the interval of the paired bootstrap has
        both sides of the limit, the reason says that it is a close call. Recall of the tail rests on fewer targets, so
        only a loss beyond the limit that chance does not explain counts.
        """
        users = self.contexts.users
        ndcg = compare(measured.ndcg, whole.ndcg, users)
        tail = compare(measured.tail, whole.tail, users)
        shared = float(overlap(measured.ranked, whole.ranked, K).mean())
        failed = self._failed(ndcg, tail, shared)
        near = ndcg.low < -self.gate.max_drop * whole_mean(ndcg) < ndcg.high
        close = ", a close call: the interval goes beyond what may be lost" if near else ""
        reason = "; ".join(failed) or f"NDCG@10 {_share(ndcg)}{close}"
        return Verdict(not failed, reason, ndcg, shared, tail)

    def _failed(self, ndcg: Comparison, tail: Comparison, shared: float) -> list[str]:
        gate, failed = self.gate, []
        limit = -gate.max_drop * whole_mean(ndcg)
        if not ndcg.difference >= limit:
            close = ", though chance may explain it" if ndcg.high >= limit else ""
            failed.append(f"NDCG@10 {_share(ndcg)}, {gate.max_drop:.2%} may be lost{close}")
        if shared < gate.min_overlap:
            failed.append(f"{shared:.0%} of the first 10 items came, {gate.min_overlap:.0%} must")
        if tail.high < -gate.max_tail_drop * whole_mean(tail):
            failed.append(f"recall@10 of the tail {_share(tail)}, {gate.max_tail_drop:.0%} may be lost")
        return failed


_BESIDE = ("manifest.json", "card.json", "card.md", "items.npz", "items.npz.z")
"""Files of a bundle that no step makes smaller."""


def latency(bundle: Bundle, contexts: Contexts) -> tuple[float, float]:
    """Median and 99th percentile of the milliseconds of one recommendation, on one thread.

    Of several rounds the quietest counts: other work on the machine disturbs whole rounds.
    """
    histories = [contexts.history[row].astype(np.int64) for row in _spread(len(contexts))]
    with _one_thread():
        rounds = [_round(bundle, histories) for _ in range(_ROUNDS)]
    p50, p99 = np.min(rounds, axis=0)
    return float(p50), float(p99)


def _round(bundle: Bundle, histories: Sequence[npt.NDArray[np.int64]]) -> tuple[float, float]:
    taken = []
    for history in histories:
        start = time.perf_counter()
        bundle.recommend_indices(history, K)
        taken.append((time.perf_counter() - start) * 1e3)
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 99))


def _spread(n: int) -> npt.NDArray[np.int64]:
    return np.linspace(0, n - 1, min(_TIMED, n)).astype(np.int64)


def _one_thread() -> Any:
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def whole_mean(comparison: Comparison) -> float:
    """Mean of the uncompressed model; 0 where it has no value, so that nothing may be lost of nothing."""
    return comparison.over if np.isfinite(comparison.over) else 0.0


def _share(comparison: Comparison) -> str:
    """A difference as a share, with its interval: ``−0.3 % (−0.9 to +0.2)``."""
    if not comparison.over:
        return f"{comparison.difference:+.4f}"
    parts = [100 * value / comparison.over for value in (comparison.difference, comparison.low, comparison.high)]
    mean, low, high = (f"{part:+.2f}".replace("-", "−") for part in parts)
    return f"{mean} % ({low} to {high})"
