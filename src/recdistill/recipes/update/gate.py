"""May a refined bundle take the place of the one that is served?"""

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
        old_before: Of the served bundle on the run's validation contexts; ``old_after`` of the new one.
        fresh_before: The same at the newest events, which neither has learned; NaN where there are none.
        overlap_at_10: Share of the served top 10 that the new bundle gives too, on the run's validation contexts.
        reason: Why it does not pass, or "".
    """

    metric: str
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


def judge(before: Bundle, after: Bundle, old: Contexts, fresh: Contexts, metric: str, wanted: Updating) -> Verdict:
    """Compare two bundles as they are served.

    Args:
        before: What is served now.
        after: What might be.
        old: The run's validation contexts.
        fresh: Contexts of new events that were held back.
        metric: What counts.
        wanted: The bounds.
    """
    lists = {name: [_ranked(bundle, part, metric) for part in (old, fresh)] for name, bundle in
             (("before", before), ("after", after))}  # fmt: skip
    (was, was_fresh), (now, now_fresh) = (
        [_mean(ranked, part, metric) for ranked, part in zip(found, (old, fresh), strict=True)]
        for found in lists.values()
    )
    reason = ""
    if now < was * (1 - wanted.max_drop):
        reason = (
            f"it would forget: {metric} on validation goes from {was:.4f} to {now:.4f}, beyond {wanted.max_drop:.1%}"
        )
    elif now_fresh < was_fresh * (1 + wanted.min_gain):
        reason = f"it learns nothing: {metric} at new events goes from {was_fresh:.4f} to {now_fresh:.4f}"
    overlap = _overlap(lists["before"][0], lists["after"][0])
    return Verdict(metric, was, now, was_fresh, now_fresh, overlap, reason)


def _ranked(bundle: Bundle, contexts: Contexts, metric: str) -> Any:
    k = max(int(metric.partition("@")[2]), _OVERLAP)
    return rank(ServedModel(bundle), contexts, k) if len(contexts) else np.zeros((0, k), dtype=np.int32)


def _mean(ranked: Any, contexts: Contexts, metric: str) -> float:
    return float(np.nanmean(metric_values(ranked, contexts.targets, metric))) if len(contexts) else float("nan")


def _overlap(before: Any, after: Any) -> float:
    common = [len(np.intersect1d(a[:_OVERLAP], b[:_OVERLAP])) for a, b in zip(before, after, strict=True)]
    return float(np.mean(common)) / _OVERLAP if common else float("nan")
