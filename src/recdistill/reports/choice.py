"""What the objectives of the student were chosen from, and why."""

from __future__ import annotations

from dataclasses import dataclass

from . import words
from .results import Candidate, ReportData

__all__ = ["ChoiceTable", "choice_note", "choice_table"]


@dataclass(frozen=True, slots=True)
class ChoiceTable:
    """Heads of the columns behind the name, and a line for each candidate: the best first, unfinished ones last."""

    heads: tuple[str, ...]
    lines: tuple[tuple[Candidate, tuple[str, ...]], ...]


def choice_table(data: ReportData) -> ChoiceTable | None:
    """The candidates by validation score; None where nothing was chosen."""
    if not data.choice:
        return None
    ordered = sorted(data.choice, key=lambda c: -1.0 if c.score is None else c.score, reverse=True)
    lines = tuple((c, (words.metric(c.score), words.count(c.epochs), words.duration(c.seconds))) for c in ordered)
    return ChoiceTable((f"{data.choice_metric}, validation", "Epochs", "Time"), lines)


def choice_note(data: ReportData) -> str:
    """One sentence with the reason; empty where nothing was chosen."""
    chosen = next((candidate for candidate in data.choice if candidate.chosen), None)
    if chosen is None:
        return ""
    return f"The student is taught by {chosen.name}{f': {chosen.reason}' if chosen.reason else ''}."
