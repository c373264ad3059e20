"""What an audit found, laid out once for page and terminal."""

from __future__ import annotations

from dataclasses import dataclass

from ..evaluation.audit import Bias
from ..evaluation.audited import Audited
from ..evaluation.bootstrap import Comparison
from . import words
from .table import Cell

__all__ = ["AuditTable", "audit_table"]

_MOST = 10.0
"""Weight beside the task, at most."""


@dataclass(frozen=True, slots=True)
class AuditTable:
    """An audit.

    Attributes:
        audited: Its source: teacher, verdict, warnings.
        heads: Of the columns behind the name.
        lines: Rankers and their cells, the teacher first.
        parts: Parts of the contexts, with the teacher's hits and its lead over the best of the others.
        facts: Names and values; None where there is none.
    """

    audited: Audited
    heads: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Cell, ...]], ...]
    parts: tuple[tuple[str, tuple[str, ...]], ...]
    facts: tuple[tuple[str, str | None], ...]


def audit_table(audited: Audited) -> AuditTable:
    """Lay out an audit."""
    found = audited.found
    own = Cell(words.percent(found.hits.mean, 1), _between(found.hits.low, found.hits.high))
    lines = [(audited.teacher, (own, Cell("")))]
    for other in found.beside:
        hits = Cell(words.percent(other.hits.mean, 1), _between(other.hits.low, other.hits.high))
        lines.append((other.name, (hits, _lead(other.teacher))))
    lines.append(("guessing", (Cell(words.percent(found.chance, 1)), Cell(""))))
    parts = tuple(
        (
            part.name,
            (words.count(part.contexts), words.percent(part.teacher, 1), f"{part.best}: {_difference(part.over)}"),
        )
        for part in found.parts
    )
    heads = ("First item is right", f"{audited.teacher} less it, points")
    return AuditTable(audited, heads, tuple(lines), parts, tuple(_facts(audited)))


def _facts(audited: Audited) -> list[tuple[str, str | None]]:
    found = audited.found
    where = "drawn by the task's candidates" if audited.drawn else "the right item among random others"
    bias, same, reworded = found.bias, found.same_first, found.same_first_in_other_words
    sure = found.calibration
    return [
        ("lists", f"{found.contexts:,}, {where}"),
        ("answers", f"{words.percent(found.coverage, 1)} of the questions, {sum(audited.tokens):,} tokens paid now"),
        ("same first item", None if same is None else f"{words.percent(same, 1)} in another order"),
        ("other wording", None if reworded is None else f"{words.percent(reworded, 1)} the same first item"),
        ("bias of places", "none possible" if bias is None else _away(bias)),
        ("says / is right", f"{words.percent(sure.said, 1)} / {words.percent(sure.right, 1)}"),
        (f"with {found.base}", f"{_difference(found.together)} points"),
        ("share", _share(audited)),
    ]


def _away(bias: Bias) -> str:
    return f"{bias.away:.2f} of 1, by chance up to {bias.noise:.2f}"


def _share(audited: Audited) -> str:
    found = audited.found
    if found.earned == 0.0 < found.share:
        return f"none that it has earned beside {found.base}: {found.share:.2f} fits best, but that may be chance"
    return f"{found.share:.2f} beside {found.base}{_use(audited)}"


def _use(audited: Audited) -> str:
    """The weight that gives the teacher its share beside a task of weight 1: ``share = weight / (weight + 1)``."""
    share = audited.found.earned
    weight = min(share / max(1 - share, 1e-9), _MOST)
    settings = " ".join(f"--set {term}={weight:.2f}" for term in audited.terms)
    return f": {settings}" if settings else ""


def _lead(found: Comparison) -> Cell:
    return Cell(_points(found.difference), f"{_points(found.low)} to {_points(found.high)}")


def _difference(found: Comparison) -> str:
    return f"{_points(found.difference)} ({_points(found.low)} to {_points(found.high)})"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _between(low: float, high: float) -> str:
    return f"{words.percent(low, 1)} to {words.percent(high, 1)}"
