"""What the commands print: log lines on stderr, results on stdout."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ..reports import ReportData

__all__ = ["console", "facts", "show_results", "shown", "start_logging"]

_WIDTH = 140
"""Columns for tables that go into a file or pipe."""


def start_logging(verbosity: int) -> None:
    """Send the log of the library to stderr: coloured on a terminal, plain lines elsewhere.

    Args:
        verbosity: -1 for warnings only, 0 for progress, 1 for everything.
    """
    log = logging.getLogger("recdistill")
    log.setLevel({-1: logging.WARNING, 0: logging.INFO, 1: logging.DEBUG}[verbosity])
    log.handlers[:] = [_handler()]
    log.propagate = False


def _handler() -> logging.Handler:
    if not sys.stderr.isatty():
        plain = _ToStderr()
        plain.setFormatter(_Plain("%(message)s"))
        return plain
    from rich.console import Console
    from rich.highlighter import NullHighlighter
    from rich.logging import RichHandler

    return RichHandler(
        console=Console(stderr=True), highlighter=NullHighlighter(), show_path=False, show_time=False, show_level=False
    )


class _ToStderr(logging.Handler):
    """Writes to what stderr is at that moment: who calls a command may lend it one, and close that later."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:  # as other handlers do: a log line that cannot be written stops nothing
            self.handleError(record)


class _Plain(logging.Formatter):
    """Warnings and errors say that they are."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno <= logging.INFO else f"{record.levelname.lower()}: {text}"


def console() -> Console:
    """A console for tables on stdout, wide enough for them where nobody sees its width."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)


def facts(rows: Iterable[tuple[str, Any]]) -> None:
    """Print names and values in two columns; a value of None leaves its row out."""
    kept = [(name, str(value)) for name, value in rows if value is not None]
    width = max((len(name) for name, _ in kept), default=0)
    for name, value in kept:
        typer.echo(f"  {name:<{width}}  {value}")


def shown(path: Path) -> str:
    """A path as one would type it here."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)


def show_results(data: ReportData, directory: Path) -> None:
    """Print the verdict, the comparison, the report's path, and the command to type next."""
    from ..reports import console_table, judge
    from ..reports.rounds import rounds_words

    verdict = judge(data)
    out = console()
    out.print(console_table(data, out.width))
    out.print(f"[bold]{verdict.sentence}[/bold]", soft_wrap=True)
    for warning in verdict.warnings:
        out.print(f"  note: {warning}", style="dim", markup=False, soft_wrap=True)
    for asking in data.rounds:
        out.print(rounds_words(asking), markup=False, soft_wrap=True)
    typer.echo("")
    facts(
        [
            ("report", shown(directory / "report.html")),
            ("bundle", shown(directory / "bundle")),
            ("next", f'recdistill recommend {shown(directory)} --history "{_history(data)}"'),
        ]
    )


def _history(data: ReportData) -> str:
    """Two titles that can be typed between quotes: the newest of a user that the report shows."""
    titles = [title for example in data.examples for title in example.history[-2:]]
    plain = [title for title in titles if not set(title) & set(';"$`\\!')]
    return "; ".join(plain[:2]) or "TITLE; TITLE"
