"""For whom knowledge helps, and for whom it does not: each part of it against the student alone, slice by slice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from . import words
from .results import Comparison, ReportData, Row
from .table import Cell

__all__ = ["FEW", "Effect", "SliceTable", "effects", "notes", "slice_table"]

FEW = 20
"""A slice with fewer contexts is too small to tell anything."""
_ABOUT = {
    "head": "head items",
    "tail": "tail items",
    "cold": "cold items",
    "short": "short histories",
    "long": "long histories",
}


@dataclass(frozen=True, slots=True)
class Effect:
    """What knowledge did to the student in one place.

    Attributes:
        part: Name of the slice; empty: all test contexts.
        difference: From the student alone, there.
        alone: The metric of the student alone, there.
        contexts: Test contexts of the slice; None for all of them.
    """

    part: str
    difference: Comparison
    alone: float
    contexts: int | None = None

    @property
    def few(self) -> bool:
        """Whether there are too few contexts to tell."""
        return self.contexts is not None and self.contexts < FEW

    @property
    def place(self) -> str:
        """``overall``, or ``on tail items``."""
        return f"on {_ABOUT.get(self.part, self.part)}" if self.part else "overall"

    def __str__(self) -> str:
        """With numbers: ``on tail items (+12.0 %, 95 % interval +4.1 % to +19.8 %)``."""
        found = self.difference
        mean, low, high = (self.share(x) for x in (found.difference, found.low, found.high))
        return f"{self.place} ({mean}, {words.INTERVAL} {low} to {high})"

    def share(self, difference: float) -> str:
        """A difference as a share of the student alone; as it is where that one finds nothing at all."""
        return words.signed_percent(difference / self.alone) if self.alone > 0 else words.signed(difference)


@dataclass(frozen=True, slots=True)
class SliceTable:
    """Differences from the student alone: names of the rows that are compared, and a line for each slice."""

    names: tuple[str, ...]
    lines: tuple[tuple[str, int, tuple[Cell, ...]], ...]


def effects(data: ReportData, row: Row, alone: Row) -> list[Effect]:
    """What is known of a row against the student alone: overall first, then in each slice."""
    found = []
    overall = data.comparison(row, alone)
    if overall is not None:
        found.append(Effect("", overall, alone.metrics[data.metric]))
    for part in data.slices:
        difference = data.comparison(row, alone, part.name)
        if difference is not None and alone.name in part.values:
            found.append(Effect(part.name, difference, part.values[alone.name], part.contexts))
    return found


def notes(data: ReportData) -> list[str]:
    """For whom the distilled student is worse than alone, and what each part of the knowledge does by itself."""
    distilled, alone = data.of_role("distilled"), data.of_role("alone")
    if distilled is None or alone is None:
        return []
    worse = [e for e in effects(data, distilled, alone) if e.part and e.difference.sign < 0 and not e.few]
    found = [f"The distilled student is worse than alone {_and(map(str, worse))}."] if worse else []
    for row in _ablations(data):
        found += _note(row, effects(data, row, alone))
        lead = data.comparison(row, distilled)
        if lead is not None and lead.sign > 0:
            share = Effect("", lead, distilled.metrics[data.metric])
            found.append(f"{row.part or row.name} alone is better than all of the knowledge together: {share}.")
    return found


def slice_table(data: ReportData) -> SliceTable | None:
    """The differences behind the notes, for the page; None where nothing was compared in slices."""
    alone = data.of_role("alone")
    rows = [row for row in (data.of_role("distilled"), *_ablations(data)) if row is not None]
    if alone is None:
        return None
    known = {row.name: {e.part: e for e in effects(data, row, alone) if e.part} for row in rows}
    names = tuple(name for name, parts in known.items() if parts)
    lines = tuple((p.name, p.contexts, tuple(_cell(known[n].get(p.name)) for n in names)) for p in data.slices)
    return SliceTable(names, lines) if names else None


def _ablations(data: ReportData) -> list[Row]:
    return [row for row in data.rows if row.role == "ablation" and data.metric in row.metrics]


def _note(row: Row, found: Sequence[Effect]) -> list[str]:
    told = [effect for effect in found if not effect.few]
    helps, hurts = ([e for e in told if e.difference.sign == sign] for sign in (1, -1))
    unclear, few = [e for e in told if e.difference.sign == 0], [e for e in found if e.few]
    parts = [
        f"helps {_and(map(str, helps))}" if helps else "",
        f"hurts {_and(map(str, hurts))}" if hurts else "",
        f"cannot be told from nothing {_and(e.place for e in unclear)}" if unclear else "",
        f"too few users to tell {_and(f'{e.place} ({e.contexts})' for e in few)}" if few else "",
    ]
    said = "; ".join(part for part in parts if part)
    return [f"Knowledge of {row.part or row.name} alone: {said}."] if said else []


def _cell(effect: Effect | None) -> Cell:
    if effect is None:
        return Cell(words.NONE)
    low, high = effect.share(effect.difference.low), effect.share(effect.difference.high)
    doubt = "too few users" if effect.few else "" if effect.difference.sign else "touches zero"
    return Cell(effect.share(effect.difference.difference), ", ".join(filter(None, (f"{low} to {high}", doubt))))


def _and(parts: Iterable[str]) -> str:
    """``a, b and c``."""
    *before, last = parts
    return f"{', '.join(before)} and {last}" if before else last
