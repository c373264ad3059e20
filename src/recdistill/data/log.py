"""An interaction log to flat integer arrays, in one pass over the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from ..errors import DataError
from .cleaning import Events
from .codes import Names
from .dataset import Catalogue
from .quarantine import Quarantine
from .tables import Table
from .values import TIME_UNITS, identifier, iso_time, milliseconds, number, time

__all__ = ["RawLog", "by_user_and_time", "read_log"]

_REASONS = {
    "user": "empty user id",
    "item": "empty item id",
    "time": "time is missing or unreadable",
    "zero": "time is zero or negative",
    "rating": "rating is not a number",
    "type": "empty event type",
    "weight": "weight is not a number, or negative",
    "unknown": "item is not in the item table",
}
"""Why a row is bad; of several reasons the first is given."""


@dataclass(frozen=True)
class RawLog:
    """Good events in file order, and what their codes mean.

    Attributes:
        events: Codes are indices into the lists below.
        users: User ids, ordered.
        items: Item ids: those of the catalogue, then others, ordered.
        types: Event types, ordered.
        time_unit: One of ``values.TIME_UNITS``.
        rows_read: Rows of the source, good and bad.
    """

    events: Events
    users: list[str]
    items: list[str]
    types: tuple[str, ...]
    time_unit: str
    rows_read: int


def read_log(
    table: Table,
    roles: Mapping[str, str],
    quarantine: Quarantine,
    catalogue: Catalogue | None,
    unknown_items: Literal["quarantine", "add"],
) -> RawLog:
    """Stream a log through and put its bad rows aside.

    Args:
        table: The log.
        roles: ``{role: column}``, with user and item at least.
        quarantine: Gets the bad rows.
        catalogue: Items that are known, if there is an item table.
        unknown_items: What to do with events of other items.

    Raises:
        DataError: The file is broken, times have mixed units, or no row is good.
    """
    names = {role: Names() for role in ("user", "item", "type") if role in roles}
    columns, dated = _expressions(table, roles, names)
    frame = table.collect(*columns)
    if not len(frame):
        raise DataError("has no rows", where=table.place)
    users, user_ids = names["user"].decode(frame["user"])
    items, item_ids = names["item"].decode(frame["item"], catalogue)
    types, type_names = names["type"].decode(frame["type"]) if "type" in roles else (None, [])
    bad = {"item": items < 0, "user": users < 0}
    bad |= {} if types is None else {"type": types < 0}
    bad |= {role: frame[role].is_null().to_numpy() for role in ("rating", "weight") if role in roles}
    times, unit = None, "none"
    if "time" in roles:
        times, unit, bad["time"], bad["zero"] = _times(table, roles["time"], frame["time"], dated)
    if "weight" in roles:
        bad["weight"] = bad["weight"] | (frame["weight"].fill_null(0).to_numpy() < 0)
    if catalogue is not None and unknown_items == "quarantine":
        bad["unknown"] = items >= len(catalogue)
        item_ids = item_ids[: len(catalogue)]
    good = _put_aside(table, bad, quarantine)
    events = Events(users, items, times, _numbers(frame, "rating"), _numbers(frame, "weight"), _small(types))
    return RawLog(events.keep(good), user_ids, item_ids, tuple(type_names), unit, len(frame))


def by_user_and_time(events: Events) -> npt.NDArray[np.int64]:
    """The order by user, then time, then file order: int64 ``[events]``."""
    users, times = events.users, events.times
    if times is None or not (times[1:] < times[:-1]).any():
        return _stable_order(users.astype(np.int64))
    low = int(times.min())
    width = int(times.max() - low).bit_length()
    if width + int(users.max()).bit_length() > 63:
        return np.lexsort((times, users))
    # one integer sort is several times faster than a sort by two keys
    return _stable_order((users.astype(np.int64) << width) | (times - low))


def _stable_order(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """As a stable argsort; that of polars is several times faster, and stable too, but does not promise it."""
    order = pl.Series(keys).arg_sort().to_numpy().astype(np.int64)
    ordered = keys[order]
    if ((ordered[1:] == ordered[:-1]) & (order[1:] < order[:-1])).any():
        return np.argsort(keys, kind="stable")
    return order


def _expressions(table: Table, roles: Mapping[str, str], names: Mapping[str, Names]) -> tuple[list[pl.Expr], bool]:
    """Ids become integer codes while the file streams through: their text is never held. And: is time a date?"""
    found = [n.encode(identifier(table, roles[role])).alias(role) for role, n in names.items()]
    found += [number(table, roles[r]).cast(pl.Float32).alias(r) for r in ("rating", "weight") if r in roles]
    if "time" not in roles:
        return found, False
    value, dated = time(table, roles["time"])
    return [*found, value.alias("time")], dated


def _times(
    table: Table, column: str, raw: pl.Series, dated: bool
) -> tuple[npt.NDArray[np.int64], str, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Milliseconds, their unit, where they are unreadable, and where a zero or less stands among dates."""
    missing, zero = raw.is_null().to_numpy(), np.zeros(len(raw), dtype=bool)
    if missing.any() and table.schema[column] == pl.String:
        _refuse_dates_among_numbers(table, column, np.flatnonzero(missing), dated)
    if dated:
        return raw.fill_null(0).to_numpy(), "date", missing, zero
    times, unit = milliseconds(raw)
    seen = [code for code in range(1, len(TIME_UNITS)) if (unit == code).any()]
    if len(seen) == 2 and seen[0] == 1 and (times[unit == 1] <= 0).all():
        zero = unit == 1
        seen = seen[1:]
    if len(seen) > 1:
        places = [f"{TIME_UNITS[code]} in {table.where(int(np.argmax(unit == code)))}" for code in seen]
        raise _mixed(table, column, "; ".join(places))
    return times, TIME_UNITS[seen[0] if seen else 0], missing, zero


def _refuse_dates_among_numbers(table: Table, column: str, rows: npt.NDArray[np.int64], dated: bool) -> None:
    """Unreadable times that are readable in the other notation: dates and numbers are mixed."""
    text = pl.col(column).str.strip_chars()
    other = text.cast(pl.Float64, strict=False) if dated else iso_time(text).dt.timestamp("ms")
    some = table.collect(other.alias("time"))["time"].gather(rows)
    if some.null_count() < len(some):
        row = int(rows[int(some.is_not_null().arg_max() or 0)])
        kinds = ("a number", "dates") if dated else ("a date", "numbers")
        raise _mixed(table, column, f"{kinds[0]} in {table.where(row)}, {kinds[1]} elsewhere")


def _mixed(table: Table, column: str, places: str) -> DataError:
    return DataError(
        f"times in mixed units in column {column!r} ({places})", where=table.place, hint="write them all in one unit"
    )


def _put_aside(table: Table, bad: Mapping[str, npt.NDArray[np.bool_]], quarantine: Quarantine) -> npt.NDArray[np.bool_]:
    """Move bad rows to the quarantine, each with the first reason of the table above; bool ``[rows]``: the others."""
    kinds = [kind for kind in _REASONS if kind in bad and bad[kind].any()]
    reason = np.zeros(len(bad["user"]), np.uint8)
    for code, kind in reversed(list(enumerate(kinds, start=1))):
        reason[bad[kind]] = code
    rows = np.flatnonzero(reason)
    quarantine.add(table, rows, [_REASONS[kinds[code - 1]] for code in reason[rows]])
    if len(rows) == len(reason):
        first = _REASONS[kinds[reason[0] - 1]]
        raise DataError(f"none of its {len(reason)} rows is good (the first: {first})", where=table.place)
    good: npt.NDArray[np.bool_] = reason == 0
    return good


def _numbers(frame: pl.DataFrame, role: str) -> npt.NDArray[np.float32] | None:
    return frame[role].fill_null(0).to_numpy() if role in frame.columns else None


def _small(codes: npt.NDArray[np.int32] | None) -> npt.NDArray[np.int16] | None:
    return None if codes is None else codes.astype(np.int16)
