"""Which store a URL means."""

from __future__ import annotations

from pathlib import Path

from ...errors import ConfigError
from .base import EventStore

__all__ = ["open_store"]


def open_store(url: str | None, path: Path) -> EventStore:
    """Open a store.

    Args:
        url: ``postgresql://…``; None for SQLite.
        path: The file of SQLite.

    Raises:
        ConfigError: Another kind of URL.
        StoreError: It cannot be opened.
    """
    if url is None:
        from .sqlite import SQLiteStore

        return SQLiteStore(path)
    if url.startswith(("postgresql://", "postgres://")):
        from .postgres import PostgresStore

        return PostgresStore(url)
    scheme = url.partition(":")[0]
    raise ConfigError(f"no event store has URLs like {scheme}:…", key=("feedback",), hint="use postgresql://…")
