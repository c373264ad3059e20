"""What each round of asking a language model cost and brought."""

from __future__ import annotations

from dataclasses import dataclass

from ..teachers.llm.budget import in_money
from . import words
from .results import Asking, ReportData, Round

__all__ = ["RoundsTable", "rounds_tables", "rounds_words"]


@dataclass(frozen=True, slots=True)
class RoundsTable:
    """One teacher's rounds: a sentence, heads of the columns behind the name, and a line for each round.

    The first line is the student before any of them.
    """

    teacher: str
    note: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, str, tuple[str, ...]], ...]


def rounds_tables(data: ReportData) -> tuple[RoundsTable, ...]:
    """A table for each teacher that was asked in rounds."""
    return tuple(_table(asking) for asking in data.rounds)


def rounds_words(asking: Asking) -> str:
    """What was asked, what it brought, and why it ended: two sentences."""
    contexts = sum(found.contexts for found in asking.rounds)
    scores = [found.score for found in asking.rounds if found.score is not None]
    after = scores[-1] if scores else asking.alone
    rounds = f"{len(asking.rounds)} round{'' if len(asking.rounds) == 1 else 's'}"
    brought = f"{asking.metric} on validation went from {words.metric(asking.alone)} to {words.metric(after)}"
    asked = f"{asking.teacher}: {words.count(contexts)} contexts in {rounds}"
    return f"{asked}; {brought}. No further round: {asking.ended}."


def _table(asking: Asking) -> RoundsTable:
    paid = any(found.money for found in asking.rounds)
    heads = ("Contexts", "Lists", "Questions", "Tokens", *([asking.currency] if paid else []))
    first = ("The student alone", "", ("", "", "", "", *([""] if paid else []), words.metric(asking.alone), ""))
    return RoundsTable(
        asking.teacher,
        rounds_words(asking),
        (*heads, f"{asking.metric}, validation", "Gain"),
        (first, *(_line(found, paid) for found in asking.rounds)),
    )


def _line(found: Round, paid: bool) -> tuple[str, str, tuple[str, ...]]:
    source = "the student's own first items" if found.candidates == "student" else f"candidates: {found.candidates}"
    counts = [words.count(number) for number in (found.contexts, found.lists, found.questions, found.tokens)]
    money = [in_money(found.money)] if paid else []
    gain = words.NONE if found.gain is None else words.signed(found.gain)
    return f"Round {found.number}", f"by {found.by}; {source}", (*counts, *money, words.metric(found.score), gain)
