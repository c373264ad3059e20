"""Which rows of a run are compared in pairs, over all test contexts and for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..evaluation import Evaluation
from ..evaluation.bootstrap import Comparison, compare
from ..reports import results as report

__all__ = ["ALONE", "DISTILLED", "SERVED", "comparisons", "shown"]

ALONE, DISTILLED, SERVED = "student alone", "student distilled", "student served"
_SHOWN = {"ndcg": "NDCG", "hr": "HR", "recall": "Recall", "mrr": "MRR", "map": "MAP", "precision": "Precision"}


def comparisons(
    result: Evaluation, roles: Mapping[str, report.Role], metric: str, seed: int
) -> Iterable[report.Comparison]:
    """Every paired comparison of a report.

    Args:
        result: All rows on the test part.
        roles: Name of a row to its role.
        metric: The main one, such as ``ndcg@10``.
        seed: Index of the seed that is served: its bundle is compared with the same training.

    Returns:
        Distilled against all others but its bundle, teachers and ablations against the student alone, the bundle
        against what it was made of; then distilled and each ablation against the student alone in each slice.
    """
    parts = [name for name, role in roles.items() if role == "ablation"]
    pairs = [(DISTILLED, other) for other, role in roles.items() if role not in ("distilled", "served")]
    pairs += [(name, ALONE) for name, role in roles.items() if role in ("teacher", "ablation")]
    for better, than in pairs:
        yield _told(better, than, metric, result.compare(better, than, metric))
    same_seed = result.values(metric, DISTILLED)[seed]
    yield _told(SERVED, DISTILLED, metric, compare(result.values(metric, SERVED), same_seed, result.contexts.users))
    for place in (f"{metric}/{name}" for name, part in result.slices.items() if part.size):
        for better in (DISTILLED, *parts):
            yield _told(better, ALONE, place, result.compare(better, ALONE, place))


def shown(metric: str) -> str:
    """``ndcg@10`` as people write it: ``NDCG@10``."""
    name, at, k = metric.partition("@")
    return f"{_SHOWN.get(name, name)}{at}{k}"


def _told(better: str, than: str, metric: str, found: Comparison) -> report.Comparison:
    return report.Comparison(
        better=better,
        than=than,
        metric=shown(metric),
        difference=found.difference,
        low=found.low,
        high=found.high,
    )
