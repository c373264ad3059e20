"""What was asked of language models, what became of it, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass

from . import words
from .results import Asked, ReportData

__all__ = ["HEADS", "AskedLine", "asked_lines"]

HEADS = ("Questions", "Answered", "Requests", "Tokens in", "Tokens out", "Time of asking", "Cost")
"""Of the columns behind the name."""
_LEFT = {
    "refused": "that were refused", "failed": "that failed", "unparsable": "whose answer cannot be read",
    "empty": "with nothing to ask about",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class AskedLine:
    """One teacher: its name, the model, a cell for each of :data:`HEADS`, and what else one should know."""

    teacher: str
    model: str
    cells: tuple[str, ...]
    notes: tuple[str, ...]


def asked_lines(data: ReportData) -> tuple[AskedLine, ...]:
    """A line for each language model that was asked."""
    return tuple(_line(asked) for asked in data.asked)


def _line(asked: Asked) -> AskedLine:
    total, answered = sum(asked.questions.values()), asked.questions.get("answered", 0)
    cells = (
        words.count(total),
        f"{words.count(answered)} ({words.percent(answered / total)})" if total else words.NONE,
        words.count(asked.requests),
        words.count(asked.tokens_in),
        words.count(asked.tokens_out),
        words.duration(asked.seconds),
        asked.money or words.NONE,
    )
    return AskedLine(asked.teacher, asked.model, cells, tuple(_notes(asked)))


def _notes(asked: Asked) -> list[str]:
    counts = {what: asked.questions.get(state, 0) for state, what in _LEFT.items()}
    left = [f"{words.count(n)} {what}" for what, n in counts.items() if n]
    told = [f"{asked.teacher}: without an answer are {words.together(left)}."] if left else []
    if asked.twice:
        many = "question was" if asked.twice == 1 else "questions were"
        sent = f"{asked.teacher}: {words.count(asked.twice)} {many} with the server when a process died, and sent again"
        told.append(f"{sent}; a server that does not heed Idempotency-Key was paid twice for that.")
    return told
