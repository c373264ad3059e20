"""Which store a URL means."""

from __future__ import annotations

from pathlib import Path

from ...errors import ConfigError
from .base import EventStore

__all__ = ["check_url", "open_store"]

_POSTGRES = ("postgresql://", "postgres://")


def check_url(url: str | None) -> None:
    """Refuse what :func:`open_store` could never open, before anything is started.

    Raises:
        ConfigError: Another kind of URL.
    """
    if url is not None and not url.startswith(_POSTGRES):
        scheme = url.partition(":")[0]
        raise ConfigError(f"no event store has URLs like {scheme}:…", key=("feedback",), hint="use postgresql://…")


def open_store(url: str | None, path: Path) -> EventStore:
    """Open a store.

    Args:
        url: ``postgresql://…``; None for SQLite.
        path: The file of SQLite.

    Raises:
        ConfigError: Another kind of URL.
        StoreError: It cannot be opened.
    """
    check_url(url)
    if url is None:
        from .sqlite import SQLiteStore

        return SQLiteStore(path)
    from .postgres import PostgresStore

    return PostgresStore(url)
