"""``recdistill journal``: the answers that a run has paid for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import RunError

if TYPE_CHECKING:
    from ..teachers.llm.journal import Journal

__all__ = ["journal"]

_FILE = "journal.sqlite"


def journal(
    action: Annotated[Literal["show", "compact"], typer.Argument(help="What to do.")],
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or a journal.")],
) -> None:
    """Show the journals of a run, or make them small.

    compact hands the answers over to compressed shards beside the journal. Nothing is lost or asked again, whenever it
    is interrupted, and jobs that are at work go on.
    """
    from ..reports.words import size
    from ..teachers.llm.journal import Journal

    for path in _found(run):
        before = _bytes(path)
        with Journal(path) as opened:
            moved = opened.compact() if action == "compact" else 0
            rows = _shown(opened)
        now = size(_bytes(path))
        if action == "compact":
            now += f", {size(before)} before; {moved:,} answers handed over"
        _print(path, [*rows, ("size", now)])


def _found(run: Path) -> list[Path]:
    found = [run] if run.is_file() else sorted({*run.glob(_FILE), *run.glob(f"stages/teach/*/{_FILE}")})
    if not found:
        raise RunError("has no journal of answers", where=run, hint="give a run directory with an llm teacher")
    return found


def _bytes(path: Path) -> int:
    from ..teachers.llm.shards import folder_of

    files = [path, path.with_name(path.name + "-wal"), *folder_of(path).glob("*.parquet")]
    return sum(file.stat().st_size for file in files if file.exists())


def _shown(opened: Journal) -> list[tuple[str, Any]]:
    states = ", ".join(f"{n:,} {state}" for state, n in opened.counts().items())
    jobs = [
        (job or "job", f"{s.sent:,} requests, {s.tokens_in:,} tokens in, {s.tokens_out:,} out, {s.seconds:,.0f} s"
                       + (f", {s.lost:,} possibly paid twice" if s.lost else ""))
        for job, s in opened.spent_by_job().items()
    ]  # fmt: skip
    why = [("why not", reason) for reason in opened.reasons()]
    return [("answers", states or "none"), *why, *jobs, ("shards", len(opened.shards()))]


def _print(path: Path, rows: list[tuple[str, Any]]) -> None:
    from .output import facts

    typer.echo(str(path))
    facts(rows)
