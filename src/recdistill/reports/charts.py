"""Which charts a report has, by section."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ..registry import need
from . import words
from .arrived import arrived
from .drawing import LABEL_PLACES, place_labels, svg
from .figures import COLOURS, HEIGHT, SHAPES, WIDTH, Chart, between, by_role, cut, dots, point_of
from .item_map import item_map
from .learning import learning
from .results import ReportData, Row
from .table import ROLES
from .winners import winners

__all__ = ["charts_of"]


def charts_of(data: ReportData) -> dict[str, list[Chart]]:
    """All charts for which there are numbers, by the section they belong to."""
    return {
        "comparison": _quality(data),
        "curves": learning(data),
        "cost": [*_cost(data, "latency_ms", "latency", words.latency), *_cost(data, "bytes", "size", words.size)],
        "arrived": arrived(data),
        "map": item_map(data),
        "slices": winners(data),
    }


def _quality(data: ReportData) -> list[Chart]:
    points = [point_of(row, row.metrics[data.metric], row.intervals, data.metric) for row in _measured(data)]
    caption = f"Mean over test users and seeds; the line is the {words.INTERVAL}. Further right is better."
    return [dots(f"{data.metric} by model", caption, points, data.metric)] if points else []


def _measured(data: ReportData) -> list[Row]:
    return [row for row in data.rows if data.metric in row.metrics]


def _cost(data: ReportData, field: str, what: str, say: Callable[[float], str]) -> list[Chart]:
    """Quality against a cost, for the rows that have both."""
    rows = [row for row in _measured(data) if getattr(row, field)]
    if len(rows) < 2:
        return []
    altair = need("altair", "report")
    points = [
        {
            **asdict(point_of(row, row.metrics[data.metric], row.intervals, data.metric)),
            "cost": getattr(row, field),
            "short": _short(row),
        }
        for row in rows
    ]
    horizontal = _domain([math.log10(p["cost"]) for p in points], 0.14)
    vertical = _domain([p[end] for p in points for end in ("low", "high")], 0.1)
    for point, at in zip(points, _places(points, horizontal, vertical), strict=True):
        point["at"] = at
    title = f"{what}, {'bytes' if field == 'bytes' else 'ms'} (log scale)"
    axis = altair.Axis(values=_ticks(*horizontal), grid=False, labelExpr=_LABELS[field])
    scale = altair.Scale(type="log", domain=[10**end for end in horizontal], nice=False)
    base = altair.Chart(altair.Data(values=points)).encode(
        x=altair.X("cost:Q", title=title, scale=scale, axis=axis), color=by_role(altair, "Color", COLOURS)
    )
    up = altair.Scale(domain=list(vertical), nice=False)
    bars = base.mark_rule(strokeWidth=1.5, opacity=0.5).encode(
        y=altair.Y("low:Q", title=data.metric, scale=up), y2="high:Q"
    )
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        y=altair.Y("value:Q", title=data.metric, scale=up, axis=altair.Axis(tickCount=4)),
        shape=by_role(altair, "Shape", SHAPES),
    )
    names = [
        base.transform_filter(f"datum.at == {at}")
        .mark_text(fontSize=11, dx=dx, dy=dy, align=align, baseline="middle")
        .encode(y=altair.Y("value:Q", title=data.metric, scale=up), text="short:N", color=altair.value("var(--ink)"))
        for at, (dx, dy, align) in enumerate(LABEL_PLACES)
    ]
    return [
        Chart(
            f"Quality against {what}",
            f"Up and to the left is better; the line is the {words.INTERVAL}.",
            svg(altair.layer(bars, dots, *names).properties(width=WIDTH, height=HEIGHT)),
            ("Model", what.capitalize(), data.metric, words.INTERVAL),
            tuple((p["label"], say(p["cost"]), words.metric(p["value"]), between(p["low"], p["high"])) for p in points),
        )
    ]


def _places(points: list[dict[str, Any]], horizontal: tuple[float, float], vertical: tuple[float, float]) -> list[int]:
    """Where the names stand, clear of points and intervals; the ends of the first axis are log10."""
    across, up = WIDTH / (horizontal[1] - horizontal[0]), HEIGHT / (vertical[1] - vertical[0])
    spots = [((math.log10(p["cost"]) - horizontal[0]) * across, (vertical[1] - p["value"]) * up) for p in points]
    marks = [
        (x - 8, min(y - 8, (vertical[1] - p["high"]) * up), x + 8, max(y + 8, (vertical[1] - p["low"]) * up))
        for p, (x, y) in zip(points, spots, strict=True)
    ]
    return place_labels(spots, marks, [p["short"] for p in points], (WIDTH, HEIGHT))


def _ticks(low: float, high: float) -> list[float]:
    """Round values on a log axis (ends are log10), few enough for their labels."""
    steps = (1, 2, 5) if high - low < 1.2 else (1, 3) if high - low < 2.5 else (1,)
    values = [step * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for step in steps]
    return [value for value in values if low <= math.log10(value) <= high]


def _domain(values: list[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low or abs(high) or 1.0) * margin
    return low - room, high + room


def _short(row: Row) -> str:
    return cut(row.name if row.role in ("teacher", "ablation", "baseline") else ROLES[row.role])


_LABELS = {
    "bytes": "datum.value >= 1e9 ? datum.value/1e9 + ' GB' : datum.value >= 1e6 ? datum.value/1e6 + ' MB' : "
    "datum.value/1e3 + ' kB'",
    "latency_ms": "format(datum.value, '~g')",
}
