"""The comparison as a table for the terminal."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

from .results import ReportData
from .table import Cell, comparison_table

if TYPE_CHECKING:
    import rich.table
    import rich.text

__all__ = ["console_table"]

_STYLES = {"distilled": "bold cyan", "ablation": "dim", "served": "cyan"}


_LEFT_OUT = ("Parameters", "Overlap")
"""Columns that a narrow terminal does not get, nor roles and intervals."""
_WIDE = 124
"""Columns of a terminal that hold roles and intervals too."""


def console_table(data: ReportData, width: int = _WIDE) -> rich.table.Table:
    """The rows and columns of the report, to be printed by rich; the best of a metric is bold and has a star.

    Args:
        data: What to show.
        width: Columns of the terminal. A narrow one leaves out what it says least by, so that numbers stay whole.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    layout = comparison_table(data)
    wide = width >= _WIDE
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1) if wide else (0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    if wide:
        table.add_column("Role", style="dim", no_wrap=True)
    kept = [wide or column.label not in _LEFT_OUT for column in layout.columns]
    for column in compress(layout.columns, kept):
        table.add_column(column.label, justify="right", no_wrap=True)
    before = None
    for line in layout.lines:
        if before not in (None, line.row.role) and line.row.role in ("alone", "baseline"):
            table.add_section()
        before = line.row.role
        name = Text(line.row.name, style=_STYLES.get(line.row.role, ""))
        role = [line.role] if wide else []
        table.add_row(name, *role, *(_text(cell, wide) for cell in compress(line.cells, kept)))
    return table


def _text(cell: Cell, interval: bool) -> rich.text.Text:
    from rich.text import Text

    text = Text(f"{cell.text} *" if cell.best else cell.text, style="bold" if cell.best else "")
    return text.append(f"\n{cell.below}", style="not bold dim") if cell.below and interval else text
