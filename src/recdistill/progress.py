"""Progress of long work: a live bar with rate and time left on a terminal, a plain log line elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Progress", "track"]

log = logging.getLogger("recdistill")
_EVERY = 15.0
"""Seconds between two plain log lines."""


class Progress(Protocol):
    """What the body of :func:`track` gets."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count ``steps`` as done; ``note`` (a few words) replaces the one shown behind the bar."""

    def skip(self, steps: int = 1) -> None:
        """Count ``steps`` as done before: they do not count in the rate."""


@contextmanager
def track(label: str, total: int, unit: str = "it", done: int = 0) -> Iterator[Progress]:
    """Show how far a piece of work is.

    Args:
        label: What is being done, for example ``"encode items"``.
        total: Steps in all.
        unit: Name of a step, for the rate.
        done: Steps that were already there (resumed work); they do not count in the rate.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with _bar(console, label, total, unit, done) as bar:
            yield bar
    else:
        yield _Lines(label, total, unit, done)


@contextmanager
def _bar(console: object, label: str, total: int, unit: str, done: int) -> Iterator[Progress]:
    from rich import progress as rich

    columns = (
        rich.TextColumn("[bold]{task.description}"),
        rich.BarColumn(bar_width=24),
        rich.TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}"),
        rich.TextColumn("{task.fields[rate]}"),
        rich.TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        rich.TextColumn("[dim]{task.fields[note]}"),
    )
    with rich.Progress(*columns, console=console, transient=False) as bar:  # type: ignore[arg-type]
        task = bar.add_task(label, total=total, completed=done, unit=unit, rate="", note="")
        yield _Bar(bar, task, unit, done)


class _Bar:
    def __init__(self, bar: object, task: object, unit: str, done: int) -> None:
        self._bar, self._task, self._unit = bar, task, unit
        self._start, self._done = time.monotonic(), 0

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        rate = self._done / max(time.monotonic() - self._start, 1e-9)
        fields = {"rate": f"{rate:,.0f} {self._unit}/s" if rate >= 10 else f"{rate:.2f} {self._unit}/s"}
        if note:
            fields["note"] = note
        self._bar.update(self._task, advance=steps, **fields)  # type: ignore[attr-defined]

    def skip(self, steps: int = 1) -> None:
        self._bar.update(self._task, advance=steps)  # type: ignore[attr-defined]


class _Lines:
    def __init__(self, label: str, total: int, unit: str, done: int) -> None:
        self._label, self._total, self._unit, self._before = label, total, unit, done
        self._start = self._said = time.monotonic()
        self._done = 0

    def skip(self, steps: int = 1) -> None:
        self._before += steps

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        now = time.monotonic()
        at = self._before + self._done
        if at < self._total and now - self._said < _EVERY:
            return
        self._said = now
        rate = self._done / max(now - self._start, 1e-9)
        left = f", {max(self._total - at, 0) / rate:.0f} s left" if self._done else ""
        more = f", {note}" if note else ""
        speed = f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"  # one epoch may take a minute
        log.info("%s: %d/%d %s, %s %s/s%s%s", self._label, at, self._total, self._unit, speed, self._unit, left, more)
