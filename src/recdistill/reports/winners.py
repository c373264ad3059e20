"""Who wins for which users: teacher, student alone, distilled student and the best baseline, slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from . import words
from .figures import Chart, Point, grouped, point_of
from .for_whom import effects
from .results import ReportData, Row

__all__ = ["contenders", "winners", "winners_notes"]


def contenders(data: ReportData) -> list[Row]:
    """The rows that stand side by side, as far as they were measured."""
    found = (data.of_role(role) for role in ("teacher", "alone", "distilled", "baseline"))
    return [row for row in found if row is not None]


def winners(data: ReportData) -> list[Chart]:
    """The metric of the contenders in each slice, and for how many users each of them is the best."""
    rows = contenders(data)
    return [*_metric(data, rows), *_best(data, rows)]


def winners_notes(data: ReportData) -> list[str]:
    """Where the distilled student is clearly better or worse than its teacher and the best baseline."""
    distilled = data.of_role("distilled")
    others = [data.of_role(role) for role in ("teacher", "baseline")]
    if distilled is None:
        return []
    return [note for other in others if other is not None for note in _against(data, distilled, other)]


def _metric(data: ReportData, rows: Sequence[Row]) -> list[Chart]:
    if not data.slices or not rows:
        return []
    groups = {"all": [point_of(row, row.metrics[data.metric], row.intervals, data.metric) for row in rows]} | {
        part.name: [
            point_of(row, part.values[row.name], part.intervals, row.name) for row in rows if row.name in part.values
        ]
        for part in data.slices
    }
    caption = f"Mean over the test users of each part; the line is the {words.INTERVAL}. Further right is better."
    chart = grouped(f"{data.metric} by part of the users", caption, groups, data.metric, of="Users")
    return [replace(chart, head=("Model", *(part.name for part in data.slices)), body=_everybody(data))]


def _everybody(data: ReportData) -> tuple[tuple[str, ...], ...]:
    """All rows, also those that are not drawn."""
    named = [row.name for row in data.rows if any(row.name in part.values for part in data.slices)]
    return tuple((name, *(words.metric(part.values.get(name)) for part in data.slices)) for name in named)


def _best(data: ReportData, rows: Sequence[Row]) -> list[Chart]:
    if not data.wins:
        return []
    whole = data.wins[0]
    groups = {
        found.part or "all": [Point.of(row, found.best[row.name]) for row in rows if row.name in found.best]
        for found in data.wins
    }
    caption = (
        f"Users for whom one of the {words.number(len(whole.best))} alone has the highest {data.metric}; the line is "
        f"the {words.INTERVAL}. For "
        f"{words.percent(whole.nobody.value)} of all users none lists anything that was taken, "
        f"for {words.percent(whole.several.value)} several are equally good."
    )
    chart = grouped("Who ranks best, user by user", caption, groups, "users", of="Users", shares=True)
    rest = [(words.percent(found.several.value, 1), words.percent(found.nobody.value, 1)) for found in data.wins]
    body = tuple((*line, *more) for line, more in zip(chart.body, rest, strict=True))
    return [replace(chart, head=(*chart.head, "several", "nobody"), body=body)]


def _against(data: ReportData, distilled: Row, other: Row) -> list[str]:
    found = [effect for effect in effects(data, distilled, other) if not effect.few]
    better, worse = ([e for e in found if e.difference.sign == sign] for sign in (1, -1))
    said = [
        f"{word} {words.together(map(str, those))}" for word, those in (("better", better), ("worse", worse)) if those
    ]
    if not said:
        return [f"The distilled student cannot be told from {other.name}, overall or on any part."] if found else []
    return [f"Against {other.name}, the distilled student is {'; '.join(said)}."]
