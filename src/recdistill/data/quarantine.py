"""Bad rows: counted, explained, and kept in a file, so that nothing disappears silently."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ..files import atomic_path
from .tables import Table

__all__ = ["Quarantine"]

log = logging.getLogger("recdistill")
_SHOWN = 20


class Quarantine:
    """Collects bad rows of several tables.

    The file is a CSV with the columns ``file``, ``line`` (or row, for a table that is no text file), ``reason`` and
    ``record`` (the original row as JSON).
    """

    def __init__(self) -> None:
        self._frames: list[pl.DataFrame] = []

    def add(self, table: Table, rows: npt.NDArray[np.int64], reasons: list[str]) -> None:
        """Put rows (counted from 0, ascending) of a table aside."""
        if not len(rows):
            return
        self._frames.append(table.records(rows).with_columns(pl.Series("reason", reasons)))

    @property
    def rows(self) -> pl.DataFrame:
        """All of them: file, line, reason, record."""
        empty = pl.DataFrame(schema={"file": pl.String, "line": pl.Int64, "reason": pl.String, "record": pl.String})
        return pl.concat([empty, *(frame.select(empty.columns) for frame in self._frames)])

    def counts(self) -> dict[str, int]:
        """``{reason: rows}``."""
        return dict(self.rows.group_by("reason", maintain_order=True).len().iter_rows())

    def report(self) -> list[dict[str, Any]]:
        """The first few, without their records."""
        return self.rows.head(_SHOWN).drop("record").to_dicts()

    def write(self, path: str | Path | None) -> str | None:
        """Write the file (atomically) if a path is given and there are bad rows; otherwise say so in the log.

        Returns:
            The path, or None if nothing was written.
        """
        rows = self.rows
        if not len(rows):
            return None
        counts = ", ".join(f"{count} × {reason}" for reason, count in self.counts().items())
        if path is None:
            log.warning("left out %d bad rows (%s); give quarantine=FILE to keep them", len(rows), counts)
            return None
        with atomic_path(path) as part:
            rows.write_csv(part)
        log.warning("left out %d bad rows (%s); they are in %s", len(rows), counts, path)
        return str(path)
