"""Reading a log and an item table into a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .catalogue import NO_ITEM_ID, ItemTable, read_items, take
from .cleaning import Cleaning, Events
from .columns import LOG_ROLES, resolve_columns
from .dataset import Catalogue, Dataset
from .log import RawLog, by_user_and_time, read_log
from .quarantine import Quarantine
from .sequences import Sequences
from .tables import Table, scan

__all__ = ["read"]


def read(
    log: Any,
    items: Any = None,
    *,
    text: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    item_columns: Mapping[str, str | None] | None = None,
    cleaning: Cleaning | None = None,
    name: str | None = None,
    quarantine: str | Path | None = None,
) -> Dataset:
    """Read an interaction log and, if there is one, its item table.

    Args:
        log: A file (CSV, TSV, Parquet, RecBole ``.inter``, MovieLens ``.dat``; also ``.gz`` and ``.zst``), a pandas,
            polars, pyarrow or Hugging Face ``datasets`` table, or a list of these. Text files are streamed: only the
            integer codes are kept in memory.
        items: The same for the items; without it the catalogue consists of the ids in the log.
        text: Template of the items' text, for example ``"{title}. {genres}"``; guessed if None.
        columns: ``{role: column}`` where the guess is wrong, for example ``{"user": "uid", "rating": None}``. Roles:
            user, item, time, rating, type, weight.
        item_columns: The same for the item table. Roles: item, title, categories, image.
        cleaning: What is left out; by default only exact duplicates.
        name: Of the dataset; by default that of the log's file.
        quarantine: A CSV file to write bad rows into, with file, line and reason.

    Returns:
        Users are ordered by id (shorter ids first, so that numbers are in order), items as in the item table (without
        one: like users), events by time; events at the same time stay in file order.

    Raises:
        DataError: A column is missing, times have mixed units, an item id stands twice, or nothing is left.
    """
    cleaning = cleaning or Cleaning()
    table = scan(log)
    roles = resolve_columns(table, LOG_ROLES, columns, ("user", "item"))
    bad = Quarantine()
    known = None if items is None else read_items(scan(items), item_columns, text, bad)
    if known is None and text is not None:
        raise DataError("a text template needs an item table", hint="give items=…")
    raw = read_log(table, roles, bad, known.catalogue if known else None, cleaning.unknown_items)
    events, dropped = _clean(raw, cleaning, table)
    dataset = _assemble(raw, events, known, cleaning, name or Path(table.place).name.partition(".")[0])
    counts = bad.counts()
    bad_items = counts.pop(NO_ITEM_ID, 0)
    report = {
        "rows_read": raw.rows_read,
        "rows_kept": len(events),
        "dropped": {**counts, **dropped},
        "columns": roles,
        "item_columns": known.columns if known else {},
        "items_read": len(known.catalogue) + bad_items if known else None,
        "template": known.template if known else None,
        "bad_rows": bad.report(),
        "quarantine": bad.write(quarantine),
        **_describe(dataset, raw.time_unit),
    }
    return replace(dataset, report=report)


def _clean(raw: RawLog, cleaning: Cleaning, table: Table) -> tuple[Events, dict[str, int]]:
    try:
        return cleaning.apply(raw.events.keep(by_user_and_time(raw.events)))
    except DataError as error:
        raise DataError(error.what, where=table.place, hint=error.hint) from None


def _assemble(raw: RawLog, events: Events, known: ItemTable | None, cleaning: Cleaning, name: str) -> Dataset:
    """Give the users and items that are left consecutive indices, without changing their order."""
    users = np.flatnonzero(np.bincount(events.users, minlength=len(raw.users)))
    counts = np.bincount(events.items, minlength=len(raw.items))
    items = np.flatnonzero(counts >= (cleaning.min_item_events if known else max(1, cleaning.min_item_events)))
    new_user, new_item = np.empty(len(raw.users), np.int32), np.empty(len(raw.items), np.int32)
    new_user[users], new_item[items] = np.arange(len(users)), np.arange(len(items))
    old = len(known.catalogue) if known else 0
    ids = [raw.items[index] for index in items[items >= old]]
    catalogue = take(known.catalogue, items[items < old], ids) if known else Catalogue(ids)
    log = Sequences.from_sorted(
        new_user[events.users],
        len(users),
        new_item[events.items],
        times=events.times,
        ratings=events.ratings,
        weights=events.weights,
        types=events.types,
    )
    return Dataset([raw.users[index] for index in users], catalogue, log, name, types=raw.types)


def _describe(dataset: Dataset, time_unit: str) -> dict[str, Any]:
    times, events = dataset.log.times, dataset.log.n_events
    dated = times is not None and time_unit not in ("none", "order")
    return {
        "users": dataset.n_users,
        "items": dataset.n_items,
        "events": events,
        "density": events / (dataset.n_users * dataset.n_items),
        "time_unit": time_unit,
        "time_from": _iso(int(times.min())) if dated and times is not None else None,
        "time_to": _iso(int(times.max())) if dated and times is not None else None,
        "types": list(dataset.types),
    }


def _iso(milliseconds: int) -> str:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return f"{milliseconds} ms"
