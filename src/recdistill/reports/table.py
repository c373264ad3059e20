"""The comparison table, laid out once for page and terminal."""

from __future__ import annotations

from dataclasses import dataclass

from . import words
from .results import ReportData, Row

__all__ = ["ROLES", "Cell", "Column", "Line", "Table", "comparison_table"]

ROLES = {
    "teacher": "teacher",
    "alone": "student alone",
    "distilled": "distilled",
    "ablation": "ablation",
    "served": "as served",
    "baseline": "baseline",
}
_ORDER = list(ROLES)
_HITS = ("HR@10", "Recall@10", "HR@20", "Recall@20")


@dataclass(frozen=True, slots=True)
class Column:
    """Head of a column and what it means."""

    label: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of a cell, a smaller second line, and whether it is the best of its column."""

    text: str
    below: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A model with its role in words and its cells."""

    row: Row
    role: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns behind the name of the model, and lines: teachers first, baselines last, each group by the metric."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


def comparison_table(data: ReportData) -> Table:
    """Lay out all rows; columns that nobody has a value for are left out.

    Best in a metric is the highest mean, whoever it is, and every row whose paired difference from it may be 0.
    """
    rows = sorted(data.rows, key=lambda row: (_ORDER.index(row.role), -row.metrics.get(data.metric, 0.0)))
    by_column = [
        *((Column(name, _meaning(name)), _metric_cells(data, rows, name)) for name in _metrics(data)),
        *_plain(rows),
    ]
    shown = [(column, cells) for column, cells in by_column if any(cell.text != words.NONE for cell in cells)]
    lines = [Line(row, ROLES[row.role], tuple(cells[at] for _, cells in shown)) for at, row in enumerate(rows)]
    return Table(tuple(column for column, _ in shown), tuple(lines))


def _metrics(data: ReportData) -> list[str]:
    known = {name for row in data.rows for name in row.metrics}
    return [data.metric, *[name for name in _HITS if name in known and name != data.metric][:1]]


def _meaning(metric: str) -> str:
    name, _, k = metric.partition("@")
    words_of = {
        "NDCG": f"hits in the top {k}, discounted by rank",
        "HR": f"share of users with a hit in the top {k}",
        "Recall": f"share of the relevant items in the top {k}",
    }
    return f"{words_of.get(name, metric)}; below it the {words.INTERVAL}"


def _metric_cells(data: ReportData, rows: list[Row], metric: str) -> list[Cell]:
    best = max((row for row in rows if metric in row.metrics), key=lambda row: row.metrics[metric], default=None)
    return [
        Cell(
            words.metric(row.metrics.get(metric)),
            "" if metric not in row.intervals else "{:.4f} – {:.4f}".format(*row.intervals[metric]),
            best is not None and metric in row.metrics and _as_good(data, row, best, metric),
        )
        for row in rows
    ]


def _as_good(data: ReportData, row: Row, best: Row, metric: str) -> bool:
    if row.metrics[metric] == best.metrics[metric]:
        return True
    difference = data.comparison(best, row) if metric == data.metric else None
    return difference is not None and difference.low <= 0


def _plain(rows: list[Row]) -> list[tuple[Column, list[Cell]]]:
    return [
        (Column("Parameters", "numbers needed to score"), [Cell(words.short_count(row.parameters)) for row in rows]),
        (Column("Size", "on disk"), [Cell(words.size(row.bytes)) for row in rows]),
        (
            Column("Latency", "one recommendation on one core, median"),
            [Cell(words.latency(row.latency_ms)) for row in rows],
        ),
        (Column("Transfer", "share of the teacher’s lead over the student alone"), [_transfer(row) for row in rows]),
        (
            Column(
                "Overlap", "share of the teacher’s top 10 (of its whole list, if that is shorter) that comes here too"
            ),
            [Cell(words.percent(row.overlap)) for row in rows],
        ),
    ]


def _transfer(row: Row) -> Cell:
    if row.transfer_ratio is None:
        return Cell(words.NONE)
    below = "" if row.transfer_interval is None else "{:.2f} – {:.2f}".format(*row.transfer_interval)
    return Cell(f"{row.transfer_ratio:.2f}".replace("-", "−"), below.replace("-", "−"))
