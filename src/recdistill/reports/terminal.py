"""The comparison as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .results import ReportData
from .table import Cell, comparison_table

if TYPE_CHECKING:
    import rich.table
    import rich.text

__all__ = ["console_table"]

_STYLES = {"distilled": "bold cyan", "served": "cyan"}


def console_table(data: ReportData) -> rich.table.Table:
    """The rows and columns of the report, to be printed by rich; the best of a metric is bold and has a star."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    layout = comparison_table(data)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("Role", style="dim")
    for column in layout.columns:
        table.add_column(column.label, justify="right", no_wrap=True)
    before = None
    for line in layout.lines:
        if before not in (None, line.row.role) and line.row.role in ("alone", "baseline"):
            table.add_section()
        before = line.row.role
        name = Text(line.row.name, style=_STYLES.get(line.row.role, ""))
        table.add_row(name, line.role, *(_text(cell) for cell in line.cells))
    return table


def _text(cell: Cell) -> rich.text.Text:
    from rich.text import Text

    text = Text(f"{cell.text} *" if cell.best else cell.text, style="bold" if cell.best else "")
    return text.append(f"\n{cell.below}", style="not bold dim") if cell.below else text
