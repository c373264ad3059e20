"""What all charts of the report are made of: a picture with its numbers, and the kinds of pictures.

Colours are CSS variables (``var(--accent)`` …), so that one picture serves light and dark. Charts are drawn for the
width of a phone and laid side by side on wider screens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..registry import need
from . import words
from .drawing import LETTER, svg
from .results import Estimate, Interval, Row

__all__ = [
    "COLOURS",
    "HEIGHT",
    "PATHS",
    "SHAPES",
    "WIDTH",
    "Chart",
    "Key",
    "Line",
    "Point",
    "between",
    "by_role",
    "capital",
    "cut",
    "dots",
    "grouped",
    "lines",
    "point_of",
]

WIDTH, HEIGHT = 250, 190
"""Of the plot, in CSS pixels, without axes."""
_GROUP_LINE, _GROUP_GAP = 13, 10
"""Height of a line of a group, and between groups."""
COLOURS = {
    "teacher": "var(--ink)",
    "alone": "var(--muted)",
    "distilled": "var(--accent)",
    "ablation": "var(--muted)",
    "served": "var(--accent)",
    "baseline": "var(--muted)",
}
SHAPES = {
    "teacher": "diamond",
    "alone": "circle",
    "distilled": "circle",
    "ablation": "cross",
    "served": "square",
    "baseline": "triangle-up",
}
PATHS = {
    "circle": "M6 1.5a4.5 4.5 0 1 0 .01 0z",
    "diamond": "M6 .5L11 6L6 11.5L1 6z",
    "square": "M2 2H10V10H2z",
    "triangle-up": "M6 1L11.2 10.5H.8z",
    "dot": "M6 3.6a2.4 2.4 0 1 0 .01 0z",
    "cross": "M4.3 1h3.4v3.3H11v3.4H7.7V11H4.3V7.7H1V4.3h3.3z",
}
"""The same shapes as SVG writes them, in a box of 12 by 12."""
_DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3), (12, 3), (2, 6))
"""Line of each further curve: not told apart by colour alone."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a mark or a line of a picture stands for.

    Attributes:
        label: In words.
        colour: As CSS.
        shape: Of the mark, as Vega calls it; empty for a line.
        dash: Of the line, as SVG writes it.
    """

    label: str
    colour: str
    shape: str = ""
    dash: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture with its caption, and the same numbers as a table for those who cannot see it.

    Attributes:
        title: What it shows.
        caption: How to read it.
        svg: The picture.
        head: Column heads of the table.
        body: Lines of the table.
        key: Its marks and lines, where the picture does not name them itself.
        wide: It takes the whole width of the page.
    """

    title: str
    caption: str
    svg: str
    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    key: tuple[Key, ...] = ()
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """A mean with its interval; ``low`` and ``high`` equal it where there is none.

    Attributes:
        label: As shown.
        role: Of the row, which gives colour and shape.
        value: The mean.
        low: Lower end.
        high: Upper end.
    """

    label: str
    role: str
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, row: Row, found: Estimate) -> Point:
        """The point of a row."""
        return cls(row.name, row.role, found.value, found.low, found.high)


@dataclass(frozen=True, slots=True)
class Line:
    """A quantity over the epochs, with the range of the seeds where there are several.

    Attributes:
        label: As shown.
        main: Whether it is what the chart is about; the others are muted.
        epochs: From 1.
        values: Means.
        low: Lowest of the seeds, or empty.
        high: Highest of the seeds, or empty.
    """

    label: str
    main: bool
    epochs: Sequence[float]
    values: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


def point_of(row: Row, value: float, intervals: Mapping[str, Interval], key: str) -> Point:
    """The point of a row whose interval is looked up."""
    low, high = intervals.get(key, (value, value))
    return Point(row.name, row.role, value, low, high)


def dots(title: str, caption: str, points: Sequence[Point], unit: str) -> Chart:
    """A line for each label, a point for the mean, a bar for the interval."""
    altair = need("altair", "report")
    names = [cut(point.label) for point in points]
    room = max(map(len, names)) * LETTER
    values = [{**asdict(point), "line": at} for at, point in enumerate(points)]
    base = altair.Chart(altair.Data(values=values)).encode(
        y=altair.Y("line:O", title=None, axis=_names(altair, names, room)), color=by_role(altair, "Color", COLOURS)
    )
    x = altair.X("value:Q", title=unit, scale=altair.Scale(zero=False, nice=True), axis=altair.Axis(tickCount=3))
    bars = base.mark_rule(strokeWidth=2).encode(x=altair.X("low:Q", title=unit), x2="high:Q")
    marks = base.mark_point(filled=True, size=70, opacity=1).encode(x=x, shape=by_role(altair, "Shape", SHAPES))
    return Chart(
        title,
        caption,
        svg((bars + marks).properties(width=WIDTH + 40 - room, height=24 * len(points))),
        ("Model", unit, words.INTERVAL),
        tuple((p.label, words.metric(p.value), between(p.low, p.high)) for p in points),
    )


def grouped(
    title: str, caption: str, groups: Mapping[str, Sequence[Point]], unit: str, *, of: str, shares: bool = False
) -> Chart:
    """The same few labels in each group, side by side: a point for the mean, a bar for the interval.

    Args:
        title: What it shows.
        caption: How to read it.
        groups: Name to points.
        unit: Title of the axis.
        of: What a group is, as the head of the table's first column.
        shares: Values are shares, written as percentages.
    """
    altair = need("altair", "report")
    names = [cut(name) for name in groups]
    room = max(map(len, names)) * LETTER
    labels = {point.label: point.role for points in groups.values() for point in points}
    order = list(labels)
    values = [
        {**asdict(point), "line": at, "place": order.index(point.label)}
        for at, points in enumerate(groups.values())
        for point in points
    ]
    base = altair.Chart(altair.Data(values=values)).encode(
        y=altair.Y(
            "line:O",
            title=None,
            axis=_names(altair, names, room),
            scale=altair.Scale(paddingInner=0.2, paddingOuter=0.1),
        ),
        yOffset=altair.YOffset("place:O", scale=altair.Scale(domain=list(range(len(order))))),
        color=by_role(altair, "Color", COLOURS),
    )
    axis = altair.Axis(tickCount=4, **({"format": "~%"} if shares else {}))
    x = altair.X("value:Q", title=unit, scale=altair.Scale(zero=True, nice=True), axis=axis)
    bars = base.mark_rule(strokeWidth=2).encode(x=altair.X("low:Q", title=unit), x2="high:Q")
    marks = base.mark_point(filled=True, size=45, opacity=1).encode(x=x, shape=by_role(altair, "Shape", SHAPES))
    height = len(groups) * (len(order) * _GROUP_LINE + _GROUP_GAP)
    say = _share if shares else words.metric
    return Chart(
        title,
        caption,
        svg((bars + marks).properties(width=WIDTH + 40 - room, height=height)),
        (of, *labels),
        tuple((name, *(_told(points, label, say) for label in order)) for name, points in groups.items()),
        tuple(Key(label, COLOURS[role], SHAPES[role]) for label, role in labels.items()),
    )


def lines(
    title: str,
    caption: str,
    drawn: Sequence[Line],
    *,
    lowest: bool = False,
    best: bool = False,
    zero: bool = False,
    of: str = "Run",
) -> Chart:
    """A line for each label over the epochs; the band spans the seeds. Beyond six lines, the others are in the table.

    Args:
        title: What it shows.
        caption: How to read it.
        drawn: The main line first.
        lowest: Low is good: the table names the lowest value and not the highest.
        best: Mark the highest value of each line.
        zero: The axis begins at 0.
        of: What a line is, as the head of the table's first column.
    """
    altair = need("altair", "report")
    seen = drawn[: len(_DASHES)]
    colours = ["var(--accent)" if line.main else "var(--muted)" for line in seen]
    values = [
        {"line": at, "epoch": e, "value": v, "low": _at(line.low, i, v), "high": _at(line.high, i, v)}
        for at, line in enumerate(seen)
        for i, (e, v) in enumerate(zip(line.epochs, line.values, strict=True))
        if v is not None
    ]
    places = list(range(len(seen)))
    scale, colour = altair.Scale(zero=zero), altair.Scale(domain=places, range=colours)
    dashes = altair.Scale(domain=places, range=[list(dash) for dash in _DASHES[: len(seen)]])
    x = altair.X("epoch:Q", title="epoch", axis=altair.Axis(tickMinStep=1, tickCount=5, grid=False))
    y = altair.Y("value:Q", title=None, scale=scale, axis=altair.Axis(tickCount=4))
    base = altair.Chart(altair.Data(values=values)).encode(x=x)
    spread = any(line.low for line in seen)
    layers = []
    if spread:
        fill = altair.Fill("line:N", scale=colour, legend=None)
        layers.append(
            base.mark_area(opacity=0.18).encode(y=altair.Y("low:Q", title=None, scale=scale), y2="high:Q", fill=fill)
        )
    hue = altair.Color("line:N", scale=colour, legend=None)
    dash = altair.StrokeDash("line:N", scale=dashes, legend=None)
    layers.append(base.mark_line(strokeWidth=2).encode(y=y, color=hue, strokeDash=dash))
    if best:
        tops = altair.Chart(altair.Data(values=[_top(values, at) for at in places if _top(values, at)])).encode(x=x)
        layers.append(tops.mark_point(filled=True, size=45, opacity=1).encode(y=y, color=hue))
    return Chart(
        title,
        " ".join([caption, *["The band spans the seeds."] * spread]),
        svg(altair.layer(*layers).properties(width=WIDTH, height=130)),
        (of, "First", "Lowest" if lowest else "Highest", "Last"),
        tuple(_ends(line, lowest=lowest) for line in drawn),
        tuple(
            Key(line.label, colour, dash=" ".join(map(str, dash)))
            for line, colour, dash in zip(seen, colours, _DASHES, strict=False)
        )
        if len(seen) > 1
        else (),
    )


def by_role(altair: Any, channel: str, values: Mapping[str, str]) -> Any:
    """The channel ``Color`` or ``Shape``, from the roles of rows."""
    scale = altair.Scale(domain=list(values), range=list(values.values()))
    return getattr(altair, channel)("role:N", scale=scale, legend=None)


def capital(text: str) -> str:
    """With a capital at the beginning."""
    return text[:1].upper() + text[1:]


def cut(name: str) -> str:
    """A name that fits beside a chart."""
    return words.shortened(name, 20)


def between(low: float, high: float) -> str:
    """An interval of a metric."""
    return words.NONE if low == high else f"{low:.4f} – {high:.4f}"


def _names(altair: Any, names: Sequence[str], room: float) -> Any:
    """The names of lines; room for them is set by hand: the page's font is wider than that of the converter."""
    return altair.Axis(
        labelExpr=f"{json.dumps(names)}[datum.value]",
        labelLimit=0,
        labelPadding=8,
        ticks=False,
        domain=False,
        minExtent=room,
        maxExtent=room,
    )


def _told(points: Sequence[Point], label: str, say: Callable[[float], str]) -> str:
    found = next((point for point in points if point.label == label), None)
    if found is None:
        return words.NONE
    return f"{say(found.value)} ({say(found.low)} – {say(found.high)})"


def _share(value: float) -> str:
    return words.percent(value, 1)


def _top(values: Sequence[Mapping[str, Any]], line: int) -> Mapping[str, Any] | None:
    return max((v for v in values if v["line"] == line), key=lambda v: v["value"], default=None)


def _ends(line: Line, lowest: bool) -> tuple[str, ...]:
    known = [value for value in line.values if value is not None]
    if not known:
        return (line.label, words.NONE, words.NONE, words.NONE)
    ends = (known[0], min(known) if lowest else max(known), known[-1])
    return (line.label, *(words.metric(value) for value in ends))


def _at(values: Sequence[float | None], index: int, otherwise: float | None) -> float | None:
    value = values[index] if index < len(values) else None
    return otherwise if value is None else value
