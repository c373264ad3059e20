"""How far lists became those of the teacher, what that was worth, and who ranks best: context by context, in slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from ..evaluation import Evaluation
from ..evaluation.agreement import common
from ..evaluation.bootstrap import ends, resampled_ratios
from ..reports import results as report
from .comparisons import ALONE

__all__ = ["agreements", "wins"]

Floats = npt.NDArray[np.float64]
_K = 10
"""Items of each list that are compared, if that many are listed."""


def agreements(result: Evaluation, roles: Mapping[str, report.Role], metric: str) -> Iterable[report.Agreement]:
    """Each training of the student beside the main teacher: over all test contexts, then in each slice.

    Args:
        result: All rows on the test part.
        roles: Name of a row to its role.
        metric: By which one is ahead of the other, such as ``ndcg@10``.
    """
    if result.teacher is None:
        return
    rows = [name for name, role in roles.items() if role in ("alone", "distilled", "ablation")]
    for part in _parts(result):
        counted = {name: _lists(result, name, metric, part) for name in rows}
        drawn = _drawn(counted.values(), result)
        of_row = dict(zip(rows, np.split(drawn, len(rows), axis=1), strict=True))
        for name, own in counted.items():
            yield _agreement(result, name, part, own, of_row[name], counted[ALONE], of_row[ALONE])


def wins(result: Evaluation, names: Sequence[str], metric: str) -> Iterable[report.Wins]:
    """How often each of some rows is the best of them: over all test contexts, then in each slice.

    Args:
        result: All rows on the test part.
        names: The rows that stand side by side.
        metric: By which they are ranked. Trainings with several seeds take part one after another.
    """
    for part in _parts(result):
        values = [result.values(_in(metric, part), name) for name in names]
        counts = ~np.isnan(values[0][0])
        rounds = range(max(map(len, values)))
        outcomes = np.mean([_outcome(np.stack([own[at % len(own)] for own in values])) for at in rounds], axis=0)
        every = _Counted(counts[:, None] * outcomes, np.repeat(counts[:, None], outcomes.shape[1], axis=1))
        *best, several, nobody = map(_estimate, every.ratios, _drawn([every], result).T)
        yield report.Wins(
            part=part,
            contexts=int(counts.sum()),
            best=dict(zip(names, best, strict=True)),
            several=several,
            nobody=nobody,
        )


@dataclass(frozen=True, slots=True)
class _Counted:
    """What is counted in each context.

    Attributes:
        parts: What is wanted: float64 ``[n, m]``.
        wholes: Of how much: the same; 0 where a context does not count.
    """

    parts: Floats
    wholes: Floats

    @property
    def ratios(self) -> Floats:
        """Σ parts / Σ wholes: float64 ``[m]``, NaN where there is nothing."""
        part, whole = self.parts.sum(axis=0), self.wholes.sum(axis=0)
        found: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
        return found


_COLUMNS = ("overlap", "both", "own", "missed", "behind", "ahead")
"""Columns of what :func:`_lists` counts."""


def _lists(result: Evaluation, name: str, metric: str, part: str) -> _Counted:
    """A row's lists beside the teacher's; means over the seeds of both."""
    teacher, k = str(result.teacher), min(_K, result.k[-1])
    own, theirs = (result.values(_in(metric, part), model) for model in (name, teacher))
    counts = ~np.isnan(own[0])
    parts, wholes = np.zeros((2, len(_COLUMNS), len(counts)))
    pairs = list(product(range(len(own)), range(len(theirs))))
    for ours, other in pairs:
        here, there = result.ranked[name][ours][:, :k], result.ranked[teacher][other][:, :k]
        right, right_there = (result.hits(m, at, part or None).at[:, :k] for m, at in ((name, ours), (teacher, other)))
        both = common(here, there)
        mine, missed = ~both & (here >= 0), ~common(there, here) & (there >= 0)
        lead = np.nan_to_num(own[ours] - theirs[other])
        taken = (right & both, right & mine, right_there & missed)
        parts += (both.sum(1) / k, *(items.sum(1) for items in taken), lead < 0, lead > 0)
        wholes += (counts, *(items.sum(1) for items in (both, mine, missed)), counts, counts)
    return _Counted(*((counts * found / len(pairs)).T for found in (parts, wholes)))


def _agreement(
    result: Evaluation, name: str, part: str, own: _Counted, drawn: Floats, alone: _Counted, drawn_alone: Floats
) -> report.Agreement:
    value, resampled = (dict(zip(_COLUMNS, found, strict=True)) for found in (own.ratios, drawn.T))

    def less(a: str, b: str) -> report.Estimate | None:
        return _estimate(value[a] - value[b], resampled[a] - resampled[b])

    gained = _estimate(value["overlap"] - alone.ratios[0], resampled["overlap"] - drawn_alone[:, 0])
    return report.Agreement(
        row=name,
        part=part,
        contexts=int((own.wholes[:, 0] > 0).sum()),
        k=min(_K, result.k[-1]),
        gained=None if name == ALONE else gained,
        left=less("missed", "own"),
        lead=less("ahead", "behind"),
        **{column: _estimate(value[column], resampled[column]) for column in _COLUMNS},
    )


def _outcome(values: Floats) -> Floats:
    """Who is best alone, whether several are, whether nobody lists anything that is right.

    Args:
        values: The metric, float64 ``[rows, n]``.

    Returns:
        float64 ``[n, rows + 2]``, a single 1 in each line.
    """
    top = np.nanmax(np.append(values, np.zeros((1, values.shape[1])), axis=0), axis=0)
    best = (values == top) & (top > 0)
    alone = best & (best.sum(axis=0) == 1)
    return np.stack([*alone, best.sum(axis=0) > 1, top <= 0], axis=1).astype(np.float64)


def _drawn(counted: Iterable[_Counted], result: Evaluation) -> Floats:
    """Ratios of all columns by the same resamples."""
    every = list(counted)
    parts, wholes = (np.concatenate([getattr(one, side) for one in every], axis=1) for side in ("parts", "wholes"))
    return resampled_ratios(parts, wholes, result.contexts.users)


def _estimate(value: float, resampled: Floats) -> report.Estimate | None:
    """None where there is nothing to take a share of."""
    if not np.isfinite(value):
        return None
    low, high = ends(resampled[np.isfinite(resampled)])
    return report.Estimate(value=float(value), low=low, high=high)


def _parts(result: Evaluation) -> list[str]:
    return ["", *(name for name, part in result.slices.items() if part.size)]


def _in(metric: str, part: str) -> str:
    return f"{metric}/{part}" if part else metric
