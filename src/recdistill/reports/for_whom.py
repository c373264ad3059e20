"""For whom knowledge helps, and for whom it does not: each part of it against the student alone, slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import words
from .results import Comparison, ReportData, Row
from .table import Cell

__all__ = ["FEW", "Effect", "SliceTable", "effects", "notes", "slice_table"]

FEW = 20
"""A slice with fewer contexts is too small to tell anything."""


@dataclass(frozen=True, slots=True)
class Effect:
    """How a row differs from another, most often from the student alone, in one place.

    Attributes:
        part: Name of the slice; empty: all test contexts.
        difference: Of the two, there.
        base: The metric of the other, there.
        contexts: Test contexts of the slice; None for all of them.
    """

    part: str
    difference: Comparison
    base: float
    contexts: int | None = None

    @property
    def few(self) -> bool:
        """Whether there are too few contexts to tell."""
        return self.contexts is not None and self.contexts < FEW

    @property
    def place(self) -> str:
        """``overall``, or ``on tail items``."""
        return words.place(self.part)

    def __str__(self) -> str:
        """With numbers: ``on tail items (+12.0 %, 95 % interval +4.1 % to +19.8 %)``."""
        found = self.difference
        mean, low, high = (self.share(x) for x in (found.difference, found.low, found.high))
        return f"{self.place} ({mean}, {words.INTERVAL} {low} to {high})"

    def share(self, difference: float) -> str:
        """A difference as a share of the other row; as it is where that one finds nothing at all."""
        return words.signed_percent(difference / self.base) if self.base > 0 else words.signed(difference)


@dataclass(frozen=True, slots=True)
class SliceTable:
    """Differences in slices: which row less which other each column is, and a line for each slice."""

    pairs: tuple[tuple[str, str], ...]
    lines: tuple[tuple[str, int, tuple[Cell, ...]], ...]


def effects(data: ReportData, row: Row, than: Row) -> list[Effect]:
    """What is known of a row against another, such as the student alone: overall first, then in each slice."""
    found = []
    overall = data.comparison(row, than)
    if overall is not None:
        found.append(Effect("", overall, than.metrics[data.metric]))
    for part in data.slices:
        difference = data.comparison(row, than, part.name)
        if difference is not None and than.name in part.values:
            found.append(Effect(part.name, difference, part.values[than.name], part.contexts))
    return found


def notes(data: ReportData) -> list[str]:
    """For whom the distilled student is worse than alone, and what each part of the knowledge does by itself."""
    distilled, alone = data.of_role("distilled"), data.of_role("alone")
    if distilled is None or alone is None:
        return []
    worse = [e for e in effects(data, distilled, alone) if e.part and e.difference.sign < 0 and not e.few]
    found = [f"The distilled student is worse than alone {words.together(map(str, worse))}."] if worse else []
    for row in _ablations(data):
        found += _note(row, effects(data, row, alone))
        lead = data.comparison(row, distilled)
        if lead is not None and lead.sign > 0:
            share = Effect("", lead, distilled.metrics[data.metric])
            found.append(f"{row.part or row.name} alone is better than all of the knowledge together: {share}.")
    return found


def slice_table(data: ReportData) -> SliceTable | None:
    """The differences behind the notes, for the page; None where nothing was compared in slices."""
    alone, distilled, *others = (data.of_role(role) for role in ("alone", "distilled", "teacher", "baseline"))
    pairs = [(distilled, alone), *((row, alone) for row in _ablations(data)), *((distilled, other) for other in others)]
    known = {
        (row.name, than.name): {effect.part: effect for effect in effects(data, row, than) if effect.part}
        for row, than in pairs
        if row is not None and than is not None
    }
    kept = tuple(pair for pair, parts in known.items() if parts)
    lines = tuple((p.name, p.contexts, tuple(_cell(known[pair].get(p.name)) for pair in kept)) for p in data.slices)
    return SliceTable(kept, lines) if kept else None


def _ablations(data: ReportData) -> list[Row]:
    return [row for row in data.rows if row.role == "ablation" and data.metric in row.metrics]


def _note(row: Row, found: Sequence[Effect]) -> list[str]:
    told = [effect for effect in found if not effect.few]
    helps, hurts = ([e for e in told if e.difference.sign == sign] for sign in (1, -1))
    unclear, few = [e for e in told if e.difference.sign == 0], [e for e in found if e.few]
    parts = [
        f"helps {words.together(map(str, helps))}" if helps else "",
        f"hurts {words.together(map(str, hurts))}" if hurts else "",
        f"cannot be told from nothing {words.together(e.place for e in unclear)}" if unclear else "",
        f"too few users to tell {words.together(f'{e.place} ({e.contexts})' for e in few)}" if few else "",
    ]
    said = "; ".join(part for part in parts if part)
    return [f"Knowledge of {row.part or row.name} alone: {said}."] if said else []


def _cell(effect: Effect | None) -> Cell:
    if effect is None:
        return Cell(words.NONE)
    low, high = effect.share(effect.difference.low), effect.share(effect.difference.high)
    doubt = "too few users" if effect.few else "" if effect.difference.sign else "touches zero"
    return Cell(effect.share(effect.difference.difference), ", ".join(filter(None, (f"{low} to {high}", doubt))))
