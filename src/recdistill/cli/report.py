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
    from ..reports import judge, write_run_report
    from .output import shown

    page = out or run / "report.html"
    data = write_run_report(run, page)
    typer.echo(judge(data).sentence)
    typer.echo(f"  report  {shown(page)}")
