"""Which rows of a run are compared in pairs, over all test contexts and for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from ..evaluation import Evaluation
from ..evaluation.bootstrap import Comparison, compare, resampled_means
from ..reports import results as report

__all__ = ["ALONE", "DISTILLED", "SERVED", "best_baseline", "comparisons", "shown", "transfer_interval"]

Floats = npt.NDArray[np.float64]

_RESAMPLES = 2000

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
        against what it was made of; then, in each slice, distilled and each ablation against the student alone, and
        distilled against the main teacher and the best baseline.
    """
    parts = [name for name, role in roles.items() if role == "ablation"]
    pairs = [(DISTILLED, other) for other, role in roles.items() if role not in ("distilled", "served")]
    pairs += [(name, ALONE) for name, role in roles.items() if role in ("teacher", "ablation")]
    for better, than in pairs:
        yield _told(better, than, metric, result.compare(better, than, metric))
    same_seed = result.values(metric, DISTILLED)[seed]
    yield _told(SERVED, DISTILLED, metric, compare(result.values(metric, SERVED), same_seed, result.contexts.users))
    pairs = [(better, ALONE) for better in (DISTILLED, *parts)]
    pairs += [
        (DISTILLED, other) for other in (result.teacher, best_baseline(result, roles, metric)) if other is not None
    ]
    for place in (f"{metric}/{name}" for name, part in result.slices.items() if part.size):
        for better, than in pairs:
            yield _told(better, than, place, result.compare(better, than, place))


def best_baseline(result: Evaluation, roles: Mapping[str, report.Role], metric: str) -> str | None:
    """The baseline with the highest mean; None if there is none."""
    names = [name for name, role in roles.items() if role == "baseline"]
    return max(names, key=lambda name: result.mean(metric, name), default=None)


def transfer_interval(
    distilled: Floats, alone: Floats, teacher: Floats, users: npt.NDArray[np.integer]
) -> tuple[float, float] | None:
    """Percentile interval, 95 %, of the transfer ratio (distilled − alone) / (teacher − alone).

    Users are drawn with replacement, the same ones above and below the line.

    Args:
        distilled: The metric of each context: float64 ``[seeds, n]``, NaN where it has no value.
        alone: The same of the student alone; seeds may differ in number.
        teacher: The same of the teacher.
        users: int ``[n]``, whose contexts they are.

    Returns:
        None where the teacher has no lead in some of the resamples: the ratio then has no bounds (Fieller 1954,
        https://doi.org/10.1111/j.2517-6161.1954.tb00159.x).
    """
    base = alone.mean(axis=0)
    # equal seeds draw equal users
    gain, lead = (
        resampled_means(better.mean(axis=0) - base, users, _RESAMPLES, seed=0) for better in (distilled, teacher)
    )
    if not len(lead) or lead.min() <= 0:
        return None
    low, high = np.quantile(gain / lead, (0.025, 0.975))
    return float(low), float(high)


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
