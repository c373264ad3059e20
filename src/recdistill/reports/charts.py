"""Charts as inline SVG: each carries its unit and its uncertainty, and takes its colours from the page.

Colours are CSS variables (``var(--accent)`` …), so that one picture serves light and dark. Charts are drawn for the
width of a phone and laid side by side on wider screens.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from ..registry import need
from . import words
from .drawing import LABEL_PLACES, LETTER, place_labels, svg
from .results import Curve, Interval, ReportData, Row
from .table import ROLES

__all__ = ["Chart", "charts_of"]

_WIDTH, _HEIGHT = 250, 190
"""Of the plot, in CSS pixels, without axes."""
_COLOURS = {
    "teacher": "var(--ink)",
    "alone": "var(--muted)",
    "distilled": "var(--accent)",
    "ablation": "var(--muted)",
    "served": "var(--accent)",
    "baseline": "var(--muted)",
}
_SHAPES = {
    "teacher": "diamond",
    "alone": "circle",
    "distilled": "circle",
    "ablation": "cross",
    "served": "square",
    "baseline": "triangle-up",
}
_DASHES = {"solid": [1, 0], "dashed": [6, 3], "dotted": [2, 2], "dash-dotted": [8, 3, 2, 3]}
"""Line of each further run: not told apart by colour alone."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture with its caption, and the same numbers as a table for those who cannot see it.

    Attributes:
        title: What it shows.
        caption: How to read it.
        svg: The picture.
        head: Column heads of the table.
        body: Lines of the table.
    """

    title: str
    caption: str
    svg: str
    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]


def charts_of(data: ReportData) -> dict[str, list[Chart]]:
    """All charts for which there are numbers, by the section they belong to."""
    return {
        "comparison": _quality(data),
        "curves": [_curves(term, curves) for term, curves in _by_term(data.curves).items()],
        "cost": [*_cost(data, "latency_ms", "latency", words.latency), *_cost(data, "bytes", "size", words.size)],
        "slices": _slices(data),
    }


def _quality(data: ReportData) -> list[Chart]:
    points = [_point(row, row.metrics[data.metric], row.intervals, data.metric) for row in _measured(data)]
    caption = f"Mean over test users and seeds; the line is the {words.INTERVAL}. Further right is better."
    return [_dots(f"{data.metric} by model", caption, points, data.metric)] if points else []


def _slices(data: ReportData) -> list[Chart]:
    """The models on each part of the test users, one small picture a slice."""
    found = []
    for part in data.slices:
        rows = [row for row in data.rows if row.name in part.values]
        points = [_point(row, part.values[row.name], part.intervals, row.name) for row in rows]
        meaning = _capital(part.meaning or part.name)
        caption = f"{meaning}: {part.contexts:,} test users. The line is the {words.INTERVAL}."
        found += [_dots(_capital(part.name), caption, points, data.metric)] if points else []
    return found


def _measured(data: ReportData) -> list[Row]:
    return [row for row in data.rows if data.metric in row.metrics]


def _point(row: Row, value: float, intervals: Mapping[str, Interval], key: str) -> dict[str, Any]:
    low, high = intervals.get(key, (value, value))
    return {"label": row.name, "role": row.role, "value": value, "low": low, "high": high}


def _dots(title: str, caption: str, points: list[dict[str, Any]], metric: str) -> Chart:
    """A line for each label, a point for the mean, a bar for the interval."""
    altair = need("altair", "report")
    names = [_cut(point["label"]) for point in points]
    # room for the names is set by hand: the page's font is wider than the one that the converter measures
    room = max(map(len, names)) * LETTER
    axis = altair.Axis(
        labelExpr=f"{json.dumps(names)}[datum.value]",
        labelLimit=0,
        labelPadding=8,
        ticks=False,
        domain=False,
        minExtent=room,
        maxExtent=room,
    )
    base = altair.Chart(altair.Data(values=[{**point, "line": at} for at, point in enumerate(points)])).encode(
        y=altair.Y("line:O", title=None, axis=axis), color=_colour(altair)
    )
    x = altair.X("value:Q", title=metric, scale=altair.Scale(zero=False, nice=True), axis=altair.Axis(tickCount=3))
    bars = base.mark_rule(strokeWidth=2).encode(x=altair.X("low:Q", title=metric), x2="high:Q")
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(x=x, shape=_shape(altair))
    return Chart(
        title,
        caption,
        svg((bars + dots).properties(width=_WIDTH + 40 - room, height=24 * len(points))),
        ("Model", metric, words.INTERVAL),
        tuple((p["label"], words.metric(p["value"]), _range(p["low"], p["high"])) for p in points),
    )


def _by_term(curves: Iterable[Curve]) -> dict[str, list[Curve]]:
    terms: dict[str, list[Curve]] = {}
    for curve in curves:
        terms.setdefault(curve.term, []).append(curve)
    return terms


def _curves(term: str, curves: Sequence[Curve]) -> Chart:
    altair = need("altair", "report")
    values = [
        {"run": c.run, "epoch": e, "value": v, "low": _at(c.low, i, v), "high": _at(c.high, i, v)}
        for c in curves
        for i, (e, v) in enumerate(zip(c.epochs, c.values, strict=True))
        if v is not None
    ]
    runs = sorted(dict.fromkeys(c.run for c in curves), key=lambda run: run != "distilled")
    colours = ["var(--accent)" if run == "distilled" else "var(--muted)" for run in runs]
    x = altair.X("epoch:Q", title="epoch", axis=altair.Axis(tickMinStep=1, tickCount=5, grid=False))
    scale, colour = altair.Scale(zero=False), altair.Scale(domain=runs, range=colours)
    dashes = altair.Scale(domain=runs, range=list(islice(cycle(_DASHES.values()), len(runs))))
    base = altair.Chart(altair.Data(values=values)).encode(x=x)
    band = base.mark_area(opacity=0.18).encode(
        y=altair.Y("low:Q", title=None, scale=scale), y2="high:Q", fill=altair.Fill("run:N", scale=colour, legend=None)
    )
    line = base.mark_line(strokeWidth=2).encode(
        y=altair.Y("value:Q", title=None, scale=scale, axis=altair.Axis(tickCount=4)),
        color=altair.Color("run:N", scale=colour, legend=None),
        strokeDash=altair.StrokeDash("run:N", scale=dashes, legend=None),
    )
    spread = any(c.low for c in curves)
    loss = term.startswith("loss")
    key = "; ".join(f"{look}: {run}" for look, run in zip(cycle(_DASHES), runs, strict=False))
    says = [f"{'Nats per event' if loss else 'On the validation users'}, by epoch.", f"{_capital(key)}."]
    return Chart(
        _capital(term),
        " ".join(says + ["The band spans the seeds."] * spread),
        svg((band + line if spread else line).properties(width=_WIDTH, height=130)),
        ("Run", "First", "Lowest" if loss else "Best", "Last"),
        tuple(_ends(c, lowest=loss) for c in curves),
    )


def _ends(curve: Curve, lowest: bool) -> tuple[str, ...]:
    known = [value for value in curve.values if value is not None]
    if not known:
        return (curve.run, words.NONE, words.NONE, words.NONE)
    return (curve.run, *(words.metric(v) for v in (known[0], min(known) if lowest else max(known), known[-1])))


def _at(values: tuple[float | None, ...], index: int, otherwise: float | None) -> float | None:
    value = values[index] if index < len(values) else None
    return otherwise if value is None else value


def _cost(data: ReportData, field: str, what: str, say: Callable[[float], str]) -> list[Chart]:
    """Quality against a cost, for the rows that have both."""
    rows = [row for row in _measured(data) if getattr(row, field)]
    if len(rows) < 2:
        return []
    altair = need("altair", "report")
    points = [
        {
            **_point(row, row.metrics[data.metric], row.intervals, data.metric),
            "cost": getattr(row, field),
            "short": _short(row),
        }
        for row in rows
    ]
    horizontal = _domain([math.log10(p["cost"]) for p in points], 0.14)
    vertical = _domain([p[end] for p in points for end in ("low", "high")], 0.1)
    place_labels(points, horizontal, vertical, (_WIDTH, _HEIGHT))
    title = f"{what}, {'bytes' if field == 'bytes' else 'ms'} (log scale)"
    axis = altair.Axis(values=_ticks(*horizontal), grid=False, labelExpr=_LABELS[field])
    scale = altair.Scale(type="log", domain=[10**end for end in horizontal], nice=False)
    base = altair.Chart(altair.Data(values=points)).encode(
        x=altair.X("cost:Q", title=title, scale=scale, axis=axis), color=_colour(altair)
    )
    up = altair.Scale(domain=list(vertical), nice=False)
    bars = base.mark_rule(strokeWidth=1.5, opacity=0.5).encode(
        y=altair.Y("low:Q", title=data.metric, scale=up), y2="high:Q"
    )
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        y=altair.Y("value:Q", title=data.metric, scale=up, axis=altair.Axis(tickCount=4)), shape=_shape(altair)
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
            svg(altair.layer(bars, dots, *names).properties(width=_WIDTH, height=_HEIGHT)),
            ("Model", what.capitalize(), data.metric, words.INTERVAL),
            tuple((p["label"], say(p["cost"]), words.metric(p["value"]), _range(p["low"], p["high"])) for p in points),
        )
    ]


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
    return _cut(row.name if row.role in ("teacher", "ablation", "baseline") else ROLES[row.role])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cut(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:19]}…"


def _range(low: float, high: float) -> str:
    return words.NONE if low == high else f"{low:.4f} – {high:.4f}"


def _colour(altair: Any) -> Any:
    return altair.Color("role:N", scale=altair.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())), legend=None)


def _shape(altair: Any) -> Any:
    return altair.Shape("role:N", scale=altair.Scale(domain=list(_SHAPES), range=list(_SHAPES.values())), legend=None)


_LABELS = {
    "bytes": "datum.value >= 1e9 ? datum.value/1e9 + ' GB' : datum.value >= 1e6 ? datum.value/1e6 + ' MB' : "
    "datum.value/1e3 + ' kB'",
    "latency_ms": "format(datum.value, '~g')",
}
