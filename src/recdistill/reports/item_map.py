"""A map of the item space of teacher and student: the same items on two planes, and how alike the spaces are.

The picture is written by hand, as an item is one thing in two places: pointing at it, tapping it or tabbing to it marks
both and names it, without a script. Style and the way it folds on a phone are in ``style.css``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from . import words
from .drawing import LABEL_PLACES, place_labels
from .figures import PATHS, Chart, Key, cut
from .results import Estimate, ItemMap, Likeness, MapItem, ReportData

__all__ = ["item_map", "item_map_notes"]

_PANEL, _GAP, _TOP, _BOTTOM, _MARGIN = 300, 40, 24, 26, 12
"""Width and height of a plane, between planes, above and below them, and at their edges, in units of the picture."""
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "dot")
"""Mark of each group: not told apart by colour alone. The last is for the others."""
_SIZES = (0.55, 0.75, 1.0)
"""Of marks, by how popular the item is among those drawn."""
_NAMES = 6
"""Items that are named on the map."""
_OTHER, _ALL = "other", "items"
"""The group of all that are in no other, and the name of the only group where there are none."""
_ANCHORS = {"left": "start", "right": "end", "center": "middle"}
_Spot = tuple[float, float]


def item_map(data: ReportData) -> list[Chart]:
    """The map; empty where one of the two has no item vectors."""
    found = data.item_map
    if found is None or not found.items:
        return []
    groups = _groups(found.items)
    kept = [words.percent(share) for share in found.kept]
    caption = (
        f"{len(found.items)} items, more of the popular ones, on the first two principal components of their vectors, "
        f"which keep {kept[0]} of the teacher’s variance and {kept[1]} of the student’s: what is near on the map need "
        "not be near in all dimensions. The student’s are turned and mirrored to lie as near to the teacher’s as they "
        "can. Larger marks: more popular items. Point at an item or tap it to find it in both; the Tab key goes "
        "through those of the table."
    )
    marked = [item for item in found.items if item.near_teacher or item.near_student]
    body = tuple(
        (item.title, item.group, "; ".join(item.near_teacher), "; ".join(item.near_student)) for item in marked
    )
    key = tuple(Key(group, f"var(--c{at})", _SHAPES[at]) for group, at in groups.items())
    return [
        Chart(
            f"Items of {found.teacher} and of {found.student}",
            caption,
            _drawn(found, groups),
            ("Item", "Kind", f"Nearest for {found.teacher}", f"Nearest for {found.student}"),
            body,
            key,
            wide=True,
        )
    ]


def item_map_notes(data: ReportData) -> list[str]:
    """How alike the spaces are; that they came closer only where the interval carries it."""
    found = data.item_map
    if found is None:
        return []
    names = {row.name: row.role for row in data.rows}
    by_role = {names.get(likeness.row, ""): likeness for likeness in found.likeness}
    alone, distilled = by_role.get("alone"), by_role.get("distilled")
    if alone is None or distilled is None or distilled.gained is None:
        return []
    return [
        _neighbours(found, alone, distilled, distilled.gained),
        f"Linear CKA, 1 for equal spaces and 0 for unrelated ones: {_cka(alone)} alone, {_cka(distilled)} distilled, "
        f"over {found.measured:,} items.",
    ]


def _neighbours(found: ItemMap, alone: Likeness, distilled: Likeness, gained: Estimate) -> str:
    now, was = (words.percent(likeness.neighbours.value) for likeness in (distilled, alone))
    chance = words.percent(found.k / max(found.measured - 1, 1), 1)
    said = f"Of the {found.k} items nearest to an item for {found.teacher}, {now} are so for the distilled student"
    if gained.sign == 0:
        return f"{said} and {was} for the student alone; the difference can be chance (at random: {chance})."
    points = words.points(gained.value, gained.low, gained.high)
    return f"{said}, {'up' if gained.sign > 0 else 'down'} from {was} alone ({points}; at random: {chance})."


def _cka(likeness: Likeness) -> str:
    if likeness.cka is None:
        return "not defined"
    seeds = "" if likeness.cka_range is None else " ({:.2f} to {:.2f} over seeds)".format(*likeness.cka_range)
    return f"{likeness.cka:.2f}{seeds}".replace("-", "−")


def _groups(items: Sequence[MapItem]) -> dict[str, int]:
    """Name of a group to the number of its mark and colour: the largest first, the others last."""
    names = [item.group or _ALL for item in items]
    ordered = sorted(dict.fromkeys(names), key=lambda name: (name == _OTHER, -names.count(name), name))
    last = len(_SHAPES) - 1
    return {name: last if name == _OTHER else min(at, last) for at, name in enumerate(ordered)}


def _drawn(found: ItemMap, groups: Mapping[str, int]) -> str:
    """Both planes; what belongs to the student has the class ``s``, by which a phone moves it below the other."""
    width, height = 2 * _PANEL + _GAP, _TOP + _PANEL + _BOTTOM
    places = _on_planes(found.items)
    planes = "".join(
        f'<g{side}><text class="whose" x="{x}" y="14">{escape(words.shortened(name, 42))}</text>'
        f'<rect class="frame" x="{x}" y="{_TOP}" width="{_PANEL}" height="{_PANEL}" rx="3"/></g>'
        for name, x, side in ((found.teacher, 0, ""), (found.student, _PANEL + _GAP, ' class="s"'))
    )
    items = "".join(
        _item(item, spots, groups[item.group or _ALL], size)
        for item, spots, size in zip(found.items, places, _sizes(found.items), strict=True)
    )
    names = _names(found.items, places)
    return (
        f'<svg class="map" viewBox="0 0 {width} {height}" preserveAspectRatio="xMinYMin slice" role="group" '
        f'aria-label="Map of items"><defs>{_marks()}</defs><g class="all">{planes}{items}{names}</g></svg>'
    )


def _on_planes(items: Sequence[MapItem]) -> list[tuple[_Spot, _Spot]]:
    """Where each item stands within the planes; both have one scale and one middle."""
    ends = [
        list(axis) for axis in zip(*(point for item in items for point in (item.teacher, item.student)), strict=True)
    ]
    middle = [(min(axis) + max(axis)) / 2 for axis in ends]
    reach = max((max(axis) - min(axis) for axis in ends), default=0.0) or 1.0
    scale = (_PANEL - 2 * _MARGIN) / reach

    def place(point: tuple[float, float]) -> _Spot:
        x, y = ((value - centre) * scale for value, centre in zip(point, middle, strict=True))
        return round(_PANEL / 2 + x, 1), round(_TOP + _PANEL / 2 - y, 1)

    return [(place(item.teacher), place(item.student)) for item in items]


def _marks() -> str:
    """The shapes in each size, drawn around 0."""
    return "".join(
        f'<path id="m{shape}{size}" d="{PATHS[name]}" transform="scale({scale}) translate(-6 -6)"/>'
        for shape, name in enumerate(_SHAPES)
        for size, scale in enumerate(_SIZES)
    )


def _sizes(items: Sequence[MapItem]) -> list[int]:
    """A third of the items in each size."""
    ordered = sorted(range(len(items)), key=lambda at: items[at].events)
    rank = {at: number for number, at in enumerate(ordered)}
    return [len(_SIZES) * rank[at] // len(items) for at in range(len(items))]


def _item(item: MapItem, spots: tuple[_Spot, _Spot], group: int, size: int) -> str:
    """One item in both planes, with the line that says what it is while it is pointed at."""
    (x, y), (u, v) = spots
    what = " · ".join(part for part in (item.title, item.group, f"{item.events:,} events") if part)
    access = 'tabindex="-1" aria-hidden="true"'
    if item.near_teacher:
        near = (
            f"near it for the teacher: {'; '.join(item.near_teacher)}; for the student: {'; '.join(item.near_student)}"
        )
        access = f'tabindex="0" role="img" aria-label="{escape(f"{what}; {near}")}"'
    return (
        f'<g class="i c{group}" {access}><use href="#m{group}{size}" x="{x}" y="{y}"/>'
        f'<use class="s" href="#m{group}{size}" x="{round(u + _PANEL + _GAP, 1)}" y="{v}"/>'
        f'<text class="tip" x="0" y="{_TOP + _PANEL + 18}">{escape(words.shortened(what, 80))}</text></g>'
    )


def _names(items: Sequence[MapItem], places: Sequence[tuple[_Spot, _Spot]]) -> str:
    """Names that are always shown, in both planes: of marked items that are far from each other for the teacher."""
    chosen = _far([at for at, item in enumerate(items) if item.near_teacher], [place[0] for place in places])
    texts, drawn = [cut(items[at].title) for at in chosen], []
    for side, shift in ((0, 0), (1, _PANEL + _GAP)):
        spots = [(places[at][side][0], places[at][side][1] - _TOP) for at in chosen]
        marks = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
        for (x, y), text, place in zip(spots, texts, place_labels(spots, marks, texts, (_PANEL, _PANEL)), strict=True):
            right, down, align = LABEL_PLACES[place]
            at_x, at_y = round(x + right + shift, 1), round(y + down + _TOP + 4, 1)
            kind = "name s" if side else "name"
            anchor = f'text-anchor="{_ANCHORS[align]}" aria-hidden="true"'
            drawn.append(f'<text class="{kind}" x="{at_x}" y="{at_y}" {anchor}>{escape(text)}</text>')
    return "".join(drawn)


def _far(marked: list[int], spots: Sequence[_Spot]) -> list[int]:
    """Some of the marked items: the first, then always the one that is farthest from those there are."""
    chosen = marked[:1]
    while len(chosen) < min(_NAMES, len(marked)):
        rest = [at for at in marked if at not in chosen]
        chosen.append(max(rest, key=lambda at: min(math.dist(spots[at], spots[other]) for other in chosen)))
    return chosen
