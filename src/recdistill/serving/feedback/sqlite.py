"""Events in a SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

from ...errors import StoreError
from .base import NEGATIVE, Event, EventStore

__all__ = ["SQLiteStore"]

_VERSION = 1
_TABLE = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    user TEXT NOT NULL,
    item TEXT NOT NULL,
    type TEXT NOT NULL,
    time REAL NOT NULL,
    value REAL,
    variant TEXT NOT NULL,
    deployment INTEGER NOT NULL
);
CREATE INDEX events_of_user ON events (user, time);
CREATE INDEX events_of_deployment ON events (deployment, variant, type);
CREATE TABLE answers (
    deployment INTEGER NOT NULL,
    variant TEXT NOT NULL,
    answers INTEGER NOT NULL,
    PRIMARY KEY (deployment, variant)
) WITHOUT ROWID;
"""
_COLUMNS = "id, user, item, type, time, value, variant, deployment"
_BUSY = 10.0
"""Seconds to wait for another process that is writing."""


class SQLiteStore(EventStore):
    """A file with a write-ahead log; every transaction is on the disk before it counts.

    Args:
        path: The file; made if it is not there, readable by its owner only.

    Raises:
        StoreError: It is no database of ours, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._base = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            self._make()

    def _make(self) -> None:
        self._base.execute("BEGIN IMMEDIATE")
        with self._transaction():
            version = self._base.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _TABLE.split(";"):
                    self._base.execute(statement)
                self._base.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise StoreError(f"is of version {version}, this reads {_VERSION}", where=self._path)

    def add(self, events: Sequence[Event]) -> list[bool]:
        new = []
        with self._told():
            self._base.execute("BEGIN IMMEDIATE")
            with self._transaction():
                for event in events:
                    done = self._base.execute(
                        f"INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                        astuple(event),
                    )
                    new.append(done.rowcount == 1)
        return new

    def history(self, user: str, limit: int) -> list[str]:
        marks = ", ".join("?" * len(NEGATIVE))
        with self._told():
            rows = self._base.execute(
                f"SELECT item FROM events WHERE user = ? AND type NOT IN ({marks})"
                " ORDER BY time DESC, number DESC LIMIT ?",
                (user, *NEGATIVE, limit),
            ).fetchall()
        return [item for (item,) in rows[::-1]]

    def after(self, number: int, limit: int) -> list[tuple[int, Event]]:
        with self._told():
            rows = self._base.execute(
                f"SELECT number, {_COLUMNS} FROM events WHERE number > ? ORDER BY number LIMIT ?", (number, limit)
            ).fetchall()
        return [(first, Event(*rest)) for first, *rest in rows]

    def tally(self, deployment: int) -> dict[tuple[str, str], int]:
        with self._told():
            rows = self._base.execute(
                "SELECT variant, type, COUNT(*) FROM events WHERE deployment = ? GROUP BY variant, type", (deployment,)
            ).fetchall()
        return {(variant, kind): count for variant, kind, count in rows}

    def count_answers(self, deployment: int, more: Mapping[str, int]) -> None:
        with self._told():
            self._base.execute("BEGIN IMMEDIATE")
            with self._transaction():
                self._base.executemany(
                    "INSERT INTO answers VALUES (?, ?, ?)"
                    " ON CONFLICT (deployment, variant) DO UPDATE SET answers = answers + excluded.answers",
                    [(deployment, variant, count) for variant, count in more.items()],
                )

    def answers(self, deployment: int) -> dict[str, int]:
        with self._told():
            rows = self._base.execute("SELECT variant, answers FROM answers WHERE deployment = ?", (deployment,))
            return dict(rows.fetchall())

    def close(self) -> None:
        self._base.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            yield
            self._base.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._base.execute("ROLLBACK")
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"cannot be used ({error})", where=self._path, hint="is the disk full or read-only?"
            ) from error
