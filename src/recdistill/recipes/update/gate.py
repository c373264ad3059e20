"""May a refined bundle take the place of the one that is served?

Many small losses are a large one, so what may be lost is counted twice: against what is served now, and against what
was served before the first update, the reference, which every release hands on to the next.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...compression import ServedModel
from ...data.dataset import Contexts
from ...evaluation.metrics import metric_values
from ...evaluation.ranking import rank
from ...serving import Bundle
from .config import Updating

__all__ = ["Verdict", "judge"]

_OVERLAP = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate saw.

    Attributes:
        metric: Such as ``ndcg@10``.
        old_before: Of the served bundle on the run's validation contexts; ``old_after`` of the new one, and
            ``old_reference`` of what was served before the first update.
        fresh_before: Of the served bundle at the newest events of some users, by which nothing was trained or chosen;
            NaN where there are none.
        overlap_at_10: Share of the served top 10 that the new bundle gives too, on the run's validation contexts.
        reason: Why it does not pass, or "".
    """

    metric: str
    old_reference: float
    old_before: float
    old_after: float
    fresh_before: float
    fresh_after: float
    overlap_at_10: float
    reason: str

    @property
    def passed(self) -> bool:
        """Whether the new bundle may be served."""
        return not self.reason

    def record(self) -> dict[str, Any]:
        """JSON-like; None for what could not be measured."""
        return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in asdict(self).items()}


def judge(
    before: Bundle,
    after: Bundle,
    old: Contexts,
    fresh: Contexts,
    metric: str,
    wanted: Updating,
    reference: float | None = None,
) -> Verdict:
    """Compare two bundles as they are served.

    Args:
        before: What is served now.
        after: What might be.
        old: The run's validation contexts. They chose the epoch of both, and of the reference.
        fresh: Contexts of new events that nothing was trained or chosen by.
        metric: What counts.
        wanted: The bounds.
        reference: The metric on ``old`` before the first update; None: this is the first.
    """
    lists = {name: [_ranked(bundle, part, metric) for part in (old, fresh)] for name, bundle in
             (("before", before), ("after", after))}  # fmt: skip
    (was, was_fresh), (now, now_fresh) = (
        [_mean(ranked, part, metric) for ranked, part in zip(found, (old, fresh), strict=True)]
        for found in lists.values()
    )
    first = was if reference is None else reference
    reason = forgets(metric, first, was, now, wanted.max_drop)
    if not reason and now_fresh < was_fresh * (1 + wanted.min_gain):
        reason = f"it learns nothing: {metric} at new events goes from {was_fresh:.4f} to {now_fresh:.4f}"
    overlap = _overlap(lists["before"][0], lists["after"][0])
    return Verdict(metric, first, was, now, was_fresh, now_fresh, overlap, reason)


def forgets(metric: str, first: float, was: float, now: float, max_drop: float) -> str:
    """Why a bundle has lost too much on old events, or "".

    Args:
        metric: Its name.
        first: Its value before the first update.
        was: Its value now.
        now: Its value with the update.
        max_drop: Share of each that may be lost.
    """
    for begin, since in ((was, ""), (first, "with the updates before it, ")):
        if now < begin * (1 - max_drop):
            what = f"{metric} on validation goes from {begin:.4f} to {now:.4f}, beyond {max_drop:.1%}"
            return f"it would forget: {since}{what}"
    return ""


def _ranked(bundle: Bundle, contexts: Contexts, metric: str) -> Any:
    k = max(int(metric.partition("@")[2]), _OVERLAP)
    return rank(ServedModel(bundle), contexts, k) if len(contexts) else np.zeros((0, k), dtype=np.int32)


def _mean(ranked: Any, contexts: Contexts, metric: str) -> float:
    return float(np.nanmean(metric_values(ranked, contexts.targets, metric))) if len(contexts) else float("nan")


def _overlap(before: Any, after: Any) -> float:
    common = [len(np.intersect1d(a[:_OVERLAP], b[:_OVERLAP])) for a, b in zip(before, after, strict=True)]
    return float(np.mean(common)) / _OVERLAP if common else float("nan")
