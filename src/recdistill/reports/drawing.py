"""The look of charts, their conversion to SVG, and labels that do not lie on each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..registry import need

__all__ = ["LABEL_PLACES", "LETTER", "Box", "place_labels", "svg"]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""

LABEL_PLACES = (
    (9, 0, "left"),
    (-9, 0, "right"),
    (0, -12, "center"),
    (0, 13, "center"),
    (8, -11, "left"),
    (8, 12, "left"),
    (-8, -11, "right"),
    (-8, 12, "right"),
    (0, -24, "center"),
    (0, 25, "center"),
)
"""Where a label can stand: offset from its point in pixels (right, down) and alignment."""

LETTER, _LINE, _ROUNDS = 6.6, 14, 4
"""Width of a letter and height of a line at 11 pixels; how often labels look for a better place."""

_FONT = "system-ui, sans-serif"
_AXIS = {
    "labelColor": "var(--muted)",
    "titleColor": "var(--muted)",
    "labelFont": _FONT,
    "titleFont": _FONT,
    "labelFontSize": 11,
    "titleFontSize": 11,
    "titleFontWeight": "normal",
    "gridColor": "var(--line)",
    "domainColor": "var(--line)",
    "tickColor": "var(--line)",
    "titlePadding": 6,
}
_CONFIG = {
    "background": "transparent",
    "font": _FONT,
    "view": {"stroke": None},
    "axis": _AXIS,
    "legend": {"labelColor": "var(--ink)", "labelFont": _FONT, "labelFontSize": 11, "symbolStrokeWidth": 2},
}


def svg(chart: Any) -> str:
    """An Altair chart as an SVG element that takes the colours of the page it stands in.

    Raises:
        MissingExtraError: Altair or vl-convert is not installed.
    """
    text: str = need("vl_convert", "report").vegalite_to_svg({**chart.to_dict(), "config": _CONFIG})
    text = text[text.index("<svg") :]
    # the words around it say what it shows; a reader of the screen gets the table instead of hundreds of shapes
    return re.sub(
        r"<svg ",
        '<svg aria-hidden="true" focusable="false" ',
        re.sub(r' (role|aria-[a-z]+)="[^"]*"', "", text),
        count=1,
    )


def place_labels(
    spots: Sequence[tuple[float, float]], marks: Sequence[Box], labels: Sequence[str], size: tuple[float, float]
) -> list[int]:
    """The place of each label, a number of :data:`LABEL_PLACES`, where it hits least.

    Every label takes its best place in turn, a few times over, given where the others are.

    Args:
        spots: What the labels belong to, in pixels to the right and down.
        marks: What they must not lie on.
        labels: Their texts.
        size: Width and height of the plot in pixels.
    """
    boxes = [
        [_box(spot, place, len(label) * LETTER) for place in LABEL_PLACES]
        for label, spot in zip(labels, spots, strict=True)
    ]
    chosen = [0] * len(labels)
    for _ in range(_ROUNDS):
        for this, own in enumerate(boxes):
            others = [boxes[that][chosen[that]] for that in range(len(labels)) if that != this]
            costs = [sum(_shared(box, other) for other in (*marks, *others)) + 40 * _outside(box, size) for box in own]
            chosen[this] = costs.index(min(costs))
    return chosen


def _box(spot: tuple[float, float], place: tuple[int, int, str], width: float) -> Box:
    x, y = spot[0] + place[0], spot[1] + place[1]
    left = x - {"left": 0.0, "right": width, "center": width / 2}[place[2]]
    return left, y - _LINE / 2, left + width, y + _LINE / 2


def _shared(a: Box, b: Box) -> float:
    """Area that two boxes share."""
    return max(min(a[2], b[2]) - max(a[0], b[0]), 0.0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)


def _outside(box: Box, size: tuple[float, float]) -> float:
    """Pixels of a box that lie beyond the plot."""
    return max(-box[0], 0.0) + max(box[2] - size[0], 0.0) + max(-box[1], 0.0) + max(box[3] - size[1], 0.0)
