"""What arrived of the teacher: how alike the lists became, what the likeness was worth, and who is ahead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from . import words
from .figures import Chart, Point, grouped
from .for_whom import FEW
from .results import Agreement, Estimate, ReportData, Row

__all__ = ["arrived", "arrived_notes"]

_LINE = f"The line is the {words.INTERVAL}."
_KINDS: Mapping[str, Callable[[Agreement], Estimate | None]] = {
    "both lists": lambda found: found.both,
    "the student’s only": lambda found: found.own,
    "the teacher’s only": lambda found: found.missed,
}


def arrived(data: ReportData) -> list[Chart]:
    """Overlap before and after by slice, what is right inside and outside it, and where the teacher is ahead."""
    teacher, rows = data.of_role("teacher"), _students(data)
    if teacher is None or not rows:
        return []
    k = data.agreements[0].k
    return [
        grouped(
            f"Overlap with {teacher.name}",
            f"Share of the teacher’s first {k} that is among the student’s first {k}. {_LINE}",
            _by_part(data, rows, lambda found: found.overlap),
            f"overlap@{k}",
            of="Users",
            shares=True,
        ),
        grouped(
            "Right inside the overlap and outside",
            f"Share of the first {k} that was taken: of the items in both lists, and of those in one only. {_LINE}",
            _by_kind(data, rows),
            "taken",
            of="Items in",
            shares=True,
        ),
        grouped(
            f"Where {teacher.name} is ahead",
            f"Users for whom the teacher’s {data.metric} is higher than the student’s. {_LINE}",
            _by_part(data, rows, lambda found: found.behind),
            "users",
            of="Users",
            shares=True,
        ),
    ]


def arrived_notes(data: ReportData) -> list[str]:
    """The same in sentences, as far as the intervals carry them; the distilled student speaks for all."""
    distilled, alone, teacher = (data.of_role(role) for role in ("distilled", "alone", "teacher"))
    if distilled is None or alone is None or teacher is None:
        return []
    after, before = _agreement(data, distilled), _agreement(data, alone)
    if after is None or before is None or after.gained is None:
        return []
    return [_moved(before, after, after.gained), *_still(data, distilled), *_worth(after), _ahead(after, teacher)]


def _students(data: ReportData) -> list[Row]:
    """Student alone first, then distilled, then the ablations."""
    named = {found.row for found in data.agreements}
    rows = [row for row in data.rows if row.name in named]
    return sorted(rows, key=lambda row: ("alone", "distilled", "ablation").index(row.role))


def _agreement(data: ReportData, row: Row, part: str = "") -> Agreement | None:
    return next((found for found in data.agreements if (found.row, found.part) == (row.name, part)), None)


def _by_part(data: ReportData, rows: Sequence[Row], get: Callable[[Agreement], Estimate]) -> dict[str, list[Point]]:
    groups: dict[str, list[Point]] = {}
    for part in ("", *(part.name for part in data.slices)):
        found = [(row, _agreement(data, row, part)) for row in rows]
        points = [Point.of(row, get(agreement)) for row, agreement in found if agreement is not None]
        if points:
            groups[part or "all"] = points
    return groups


def _by_kind(data: ReportData, rows: Sequence[Row]) -> dict[str, list[Point]]:
    found = [(row, agreement) for row in rows if (agreement := _agreement(data, row)) is not None]
    return {
        kind: [Point.of(row, share) for row, agreement in found if (share := get(agreement)) is not None]
        for kind, get in _KINDS.items()
    }


def _moved(before: Agreement, after: Agreement, gained: Estimate) -> str:
    now, was = words.percent(after.overlap.value), words.percent(before.overlap.value)
    lists = f"{now} of the teacher’s first {after.k} are among those of the distilled student"
    if gained.sign == 0:
        return f"{lists}, {was} among those of the student alone; the difference can be chance."
    return f"{lists}, {'up' if gained.sign > 0 else 'down'} from {was} alone ({_points(gained)})."


def _still(data: ReportData, distilled: Row) -> list[str]:
    """Slices in which the lists did not come closer."""
    found = [_agreement(data, distilled, part.name) for part in data.slices]
    still = [f for f in found if f and f.gained is not None and f.gained.sign <= 0 and f.contexts >= FEW]
    return [f"They did not clearly come closer {words.together(words.place(f.part) for f in still)}."] if still else []


def _worth(found: Agreement) -> list[str]:
    if found.both is None or found.own is None or found.missed is None or found.left is None:
        return []
    both, own, missed = (words.percent(share.value, 1) for share in (found.both, found.own, found.missed))
    said = (
        f"Of the items that both list, {both} were taken; of those that only the student lists, {own}; of those that "
        f"only the teacher lists, {missed}"
    )
    if found.left.sign == 0:
        return [f"{said}. Where they differ, neither is clearly right more often."]
    who, so = (
        ("teacher", "there is more to learn") if found.left.sign > 0 else ("student", "more likeness would not help")
    )
    return [f"{said}. Where they differ, the {who} is right more often ({_points(found.left)}): {so}."]


def _ahead(found: Agreement, teacher: Row) -> str:
    theirs, own = words.percent(found.behind.value), words.percent(found.ahead.value)
    said = f"{teacher.name} ranks better for {theirs} of the users, the distilled student for {own}"
    clear = "" if found.lead.sign else "; the difference can be chance"
    return f"{said}, and for the others both are equally good{clear}."


def _points(found: Estimate) -> str:
    return words.points(found.value, found.low, found.high)
