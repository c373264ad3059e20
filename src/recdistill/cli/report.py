"""``recdistill report``: the page of a run, made again from its results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import RunDirectory

__all__ = ["report"]


def report(
    run: RunDirectory,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="By default RUN/report.html.")] = None,
) -> None:
    """Write the report of a run again.

    It is one HTML file that needs no network.
    """
    from ..compression.outcome import Outcome
    from ..reports import ReportData, judge, write_report
    from .output import shown

    data = ReportData.read(run / "results.json")
    page = out or run / "report.html"
    write_report(data, page, Outcome.beside(run))
    typer.echo(judge(data).sentence)
    typer.echo(f"  report  {shown(page)}")
