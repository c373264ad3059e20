"""The candidates of a compression as a table, laid out once for page and terminal."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING

from ..compression.outcome import Outcome, Row
from . import words
from .table import Cell, Column

if TYPE_CHECKING:
    import rich.table

__all__ = ["Candidates", "Line", "compression_console", "compression_table"]

_COLUMNS = (
    Column("NDCG@10", f"of the bundle itself; below it the change and its {words.INTERVAL}"),
    Column("Overlap", "share of the uncompressed model’s first 10 items that came"),
    Column("Tail", "recall@10 of rarely seen targets; below it the change"),
    Column("Size", "of the whole bundle on disk; below it vectors and encoder, against the uncompressed ones"),
    Column("Latency", "one recommendation in process, one thread: median; below it the 99th percentile"),
)
_BELOW = {"NDCG@10": "change (interval)", "Tail": "change", "Size": "vectors, encoder", "Latency": "99th percentile"}
"""What the second line of a cell is, for the terminal, where nothing can be pointed at."""
_WIDE = 110
"""Columns of a terminal that hold what stands below the numbers, and the reasons."""


@dataclass(frozen=True, slots=True)
class Line:
    """A candidate, what became of it, and its cells."""

    row: Row
    note: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Columns behind the name of the candidate, a line for each, and the pick as a sentence."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    sentence: str
    contexts: int


def compression_table(outcome: Outcome) -> Candidates:
    """Lay out all candidates of a chain, in the order in which they were made."""
    lines = tuple(Line(row, _note(row), _cells(row, outcome.whole)) for row in outcome.rows)
    return Candidates(_COLUMNS, lines, _sentence(outcome), outcome.contexts)


def compression_console(outcome: Outcome, width: int = _WIDE) -> rich.table.Table:
    """The same for the terminal, to be printed by rich.

    Args:
        outcome: What to show.
        width: Columns of the terminal. A narrow one leaves out intervals and reasons.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    layout, wide = compression_table(outcome), width >= _WIDE
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("", no_wrap=True)
    shown = [wide or column.label not in ("Overlap", "Tail") for column in layout.columns]
    for column in compress(layout.columns, shown):
        below = f"\n[dim]{_BELOW.get(column.label, '')}[/dim]" if wide else ""
        table.add_column(column.label + below, justify="right", no_wrap=True)
    table.add_column("", style="dim", overflow="fold")
    for line in layout.lines:
        style = "bold cyan" if line.row.picked else "" if line.row.kept else "dim"
        cells = [cell.text + (f"\n{cell.below}" if cell.below and wide else "") for cell in compress(line.cells, shown)]
        table.add_row(Text(line.row.name, style=style), *cells, Text(line.note if wide else _mark(line.row)))
    return table


def _cells(row: Row, whole: Row) -> tuple[Cell, ...]:
    if row.ndcg is None:
        return tuple(Cell(words.NONE) for _ in _COLUMNS)
    part = (row.model_bytes or 0) / max(whole.model_bytes or 0, 1)
    same = row is whole
    change = "" if same else f"{_signed(row.change)} ({_signed(row.low)} to {_signed(row.high)})"
    return (
        Cell(words.metric(row.ndcg), change),
        Cell(words.percent(row.overlap)),
        Cell(words.metric(row.tail), "" if same else _signed(row.tail_change)),
        Cell(words.size(row.bytes), f"{words.size(row.model_bytes)}{'' if same else f', {words.percent(part, 1)}'}"),
        Cell(words.latency(row.p50_ms), words.latency(row.p99_ms)),
    )


def _signed(share: float | None) -> str:
    return words.NONE if share is None else words.signed_percent(share)


def _mark(row: Row) -> str:
    return "picked" if row.picked else "" if row.kept else "undone"


def _note(row: Row) -> str:
    marks = ["picked"] * row.picked + ["best for its cost"] * (row.pareto and not row.picked)
    if not row.kept:
        return f"undone: {row.reason}"
    calls = [row.reason.partition(", ")[2]] if "close call" in row.reason else []
    return "; ".join([*marks, *calls])


def _sentence(outcome: Outcome) -> str:
    row, whole = outcome.picked, outcome.whole
    undone = sum(not other.kept for other in outcome.rows)
    steps = f"{len(outcome.rows) - 1} steps were tried, {undone} undone by the gate"
    if row is None:
        return f"No candidate fits the budget; {steps}."
    if row is whole:
        return f"The uncompressed model was picked; {steps}."
    smaller = words.times((whole.model_bytes or 0) / max(row.model_bytes or 1, 1))
    change = _signed(row.change)
    through = " + ".join(other.name for other in outcome.rows[1 : outcome.rows.index(row) + 1] if other.kept)
    return f"{through} was picked: vectors and encoder are {smaller} times smaller, NDCG@10 {change}; {steps}."
