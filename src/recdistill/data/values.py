"""Raw columns to clean values, as polars expressions that run while a file streams through."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ..errors import DataError
from .tables import Table

__all__ = ["MISSING_IDS", "TIME_UNITS", "clean_ids", "identifier", "iso_time", "milliseconds", "number", "time"]

MISSING_IDS = ("", "nan", "NaN", "null", "NULL", "Null", "None", "<NA>")
"""What an absent id looks like in files that other tools wrote."""
TIME_UNITS = ("none", "order", "seconds", "milliseconds", "microseconds", "nanoseconds", "date")
"""Units of a time column; numbers in ``order`` are too small to be dates and only say what came first."""

_BOUNDS = np.array([1e8, 1e11, 1e14, 1e17])
_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d",
)


def identifier(table: Table, column: str) -> pl.Expr:
    """An id as text, not yet cleaned. Whole floats (what NaN makes of integers) lose their ``.0``.

    Raises:
        DataError: The column holds lists, structs or bytes.
    """
    kind, value = table.schema[column], pl.col(column)
    if kind.is_float():
        whole = value.cast(pl.Int64, strict=False)
        return pl.when(whole.cast(pl.Float64) == value).then(whole.cast(pl.String)).otherwise(value.cast(pl.String))
    if kind.is_nested() or kind == pl.Binary:
        raise DataError(f"column {column!r} holds {kind}, an id must be text or a number", where=table.place)
    return value.cast(pl.String)


def clean_ids(ids: pl.Series) -> pl.Series:
    """Ids without blanks around them; null where nothing is left or where it says that nothing is there."""
    text = ids.str.strip_chars()
    return text.set(text.is_in(MISSING_IDS), None)


def number(table: Table, column: str) -> pl.Expr:
    """Float64, null where the value is missing, is not a number or is infinite.

    Raises:
        DataError: The column holds something that is no number anywhere.
    """
    kind, value = table.schema[column], pl.col(column)
    if not (kind.is_numeric() or kind in (pl.String, pl.Boolean, pl.Categorical, pl.Null)):
        raise DataError(f"column {column!r} holds {kind}, not numbers", where=table.place)
    if kind == pl.String:
        value = value.str.strip_chars()
    elif kind == pl.Categorical:
        value = value.cast(pl.String)
    value = value.cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def time(table: Table, column: str) -> tuple[pl.Expr, bool]:
    """A time as a number, null where it is unreadable, and whether it came from dates.

    Returns:
        From dates: Int64, milliseconds since 1970 UTC (dates without a zone are UTC). Otherwise Int64 or Float64 in a
        unit that :func:`milliseconds` tells by size. Text is whatever its first rows are: whole numbers, decimal
        numbers or ISO 8601 dates.

    Raises:
        DataError: The column holds something that is no time anywhere.
    """
    kind, value = table.schema[column], pl.col(column)
    if kind in (pl.Datetime, pl.Date):
        return value.dt.timestamp("ms") if kind == pl.Datetime else value.cast(pl.Datetime("ms")).cast(pl.Int64), True
    if kind.is_integer():
        return value.cast(pl.Int64, strict=False), False
    if kind not in (pl.String, pl.Categorical, pl.Null):
        return number(table, column), False
    text = value.cast(pl.String).str.strip_chars()
    head = table.collect(text.alias("text").drop_nulls().head(1000))["text"]
    if not head.cast(pl.Int64, strict=False).null_count():
        return text.cast(pl.Int64, strict=False), False
    decimal = text.cast(pl.Float64, strict=False)
    if head.cast(pl.Float64, strict=False).null_count() < len(head):
        return pl.when(decimal.is_finite()).then(decimal), False
    return iso_time(text).dt.timestamp("ms"), True


def milliseconds(times: pl.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Numbers to milliseconds; the unit is told by size.

    Seconds up to 1e11, milliseconds up to 1e14, microseconds up to 1e17, then nanoseconds; below 1e8 a number is an
    order, not a date, and stays as it is.

    Args:
        times: Int64 or Float64, null where unreadable.

    Returns:
        Milliseconds, int64 ``[n]``, and index into ``TIME_UNITS``, uint8 ``[n]`` (0 where null).
    """
    value = times.fill_null(0).to_numpy()
    extremes = np.abs(np.array([times.min(), times.max()], dtype=np.float64))  # NaN where there is no number at all
    if len(times) and (times.min() or 0) >= 0 and len(set(_unit(extremes).tolist())) == 1:  # type: ignore[operator]
        code = int(_unit(extremes)[0])
        result, unit = _scaled(value, code), np.full(len(value), code, np.uint8)
    else:
        result, unit = np.empty(len(value), np.int64), _unit(np.abs(value))
        for code in range(1, len(TIME_UNITS) - 1):
            result[unit == code] = _scaled(value[unit == code], code)
    if times.null_count():
        unit[times.is_null().to_numpy()] = 0
    return result, unit


def _unit(size: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return (1 + np.searchsorted(_BOUNDS, size, side="right")).astype(np.uint8)


def _scaled(value: npt.NDArray[Any], code: int) -> npt.NDArray[np.int64]:
    unit = TIME_UNITS[code]
    if unit == "seconds":
        value = value * 1000
    elif unit in ("microseconds", "nanoseconds"):
        value = value // (1000 if unit == "microseconds" else 1_000_000)
    whole = np.rint(value) if value.dtype.kind == "f" else value
    return whole.astype(np.int64, copy=False)


def iso_time(text: pl.Expr) -> pl.Expr:
    """ISO 8601 text to Datetime; ``T`` or blank between date and time, optional fraction and zone."""
    plain = text.str.replace(r"(\d)T(\d)", "$1 $2").str.replace(r"\s*(Z|UTC|[+-]00:?00)$", "")
    naive = [plain.str.to_datetime(f, strict=False, time_unit="us") for f in _FORMATS]
    zoned = plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", strict=False, time_unit="us", time_zone="UTC")
    return pl.coalesce(*naive, zoned.dt.replace_time_zone(None))
