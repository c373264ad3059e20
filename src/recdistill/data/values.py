"""Raw columns to clean values, as polars expressions that run while a file streams through."""

from __future__ import annotations

import polars as pl

from ..errors import DataError
from .tables import Table

__all__ = ["MISSING_IDS", "TIME_UNITS", "identifier", "number", "time"]

MISSING_IDS = ("", "nan", "NaN")
"""What an absent id looks like in files that other tools wrote."""
TIME_UNITS = ("none", "order", "seconds", "milliseconds", "microseconds", "nanoseconds", "date")
"""Meaning of the codes that :func:`time` gives; ``order`` numbers are too small to be an epoch and only order events."""

_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d",
)


def identifier(table: Table, column: str) -> pl.Expr:
    """An id as text, null where it is empty or NaN. Whole floats (what NaN makes of integers) lose their ``.0``.

    Raises:
        DataError: The column holds lists, structs or bytes.
    """
    kind, value = table.schema[column], pl.col(column)
    if kind.is_float():
        whole = value.cast(pl.Int64, strict=False)
        text = pl.when(whole.cast(pl.Float64) == value).then(whole.cast(pl.String)).otherwise(value.cast(pl.String))
        return pl.when(value.is_finite()).then(text)
    if kind.is_nested() or kind == pl.Binary:
        raise DataError(f"column {column!r} holds {kind}, an id must be text or a number", where=table.place)
    if kind.is_integer():
        return value.cast(pl.String)
    text = value.cast(pl.String).str.strip_chars()
    return pl.when(~text.is_in(MISSING_IDS)).then(text)


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


def time(table: Table, column: str) -> tuple[pl.Expr, pl.Expr]:
    """Milliseconds since 1970 UTC (Int64, null where unreadable), and the code of the unit it was written in (UInt8).

    The unit of a number is told by its size: seconds up to 1e11, milliseconds up to 1e14, microseconds up to 1e17;
    below 1e8 it is an order, not a date. Dates without a zone are UTC.

    Raises:
        DataError: The column holds something that is no time anywhere.
    """
    kind, value = table.schema[column], pl.col(column)
    if kind.is_integer():
        return _epoch(value.cast(pl.Int64, strict=False))
    if kind.is_numeric():
        return _epoch(pl.when(value.is_finite()).then(value.cast(pl.Float64)))
    if kind in (pl.Datetime, pl.Date):
        return _date(value.cast(pl.Datetime("us")) if kind == pl.Date else value)
    if kind not in (pl.String, pl.Categorical, pl.Null):
        raise DataError(f"column {column!r} holds {kind}, not times", where=table.place)
    return text_time(table, pl.col(column).cast(pl.String).str.strip_chars())


def text_time(table: Table, text: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """As :func:`time`, for text: whole numbers, decimal numbers or ISO 8601 dates, whichever the first rows are."""
    head = table.collect(text.alias("text").drop_nulls().head(1000))["text"]
    if not head.cast(pl.Int64, strict=False).null_count():
        return _epoch(text.cast(pl.Int64, strict=False))
    if head.cast(pl.Float64, strict=False).null_count() < len(head):
        number = text.cast(pl.Float64, strict=False)
        return _epoch(pl.when(number.is_finite()).then(number))
    return _date(iso_time(text))


def iso_time(text: pl.Expr) -> pl.Expr:
    """ISO 8601 text to Datetime; ``T`` or blank between date and time, optional fraction and zone."""
    plain = text.str.replace(r"(\d)T(\d)", "$1 $2").str.replace(r"\s*(Z|UTC|[+-]00:?00)$", "")
    naive = [plain.str.to_datetime(f, strict=False, time_unit="us") for f in _FORMATS]
    zoned = plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", strict=False, time_unit="us", time_zone="UTC")
    return pl.coalesce(*naive, zoned.dt.replace_time_zone(None))


def _epoch(value: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    bounds = (1e8, 1e11, 1e14, 1e17)
    unit = pl.when(value.is_null()).then(0)
    for code, bound in enumerate(bounds, start=1):
        unit = unit.when(value.abs() < bound).then(code)
    code_of = unit.otherwise(5)
    scaled = pl.when(value.abs() < bounds[0]).then(value).when(value.abs() < bounds[1]).then(value * 1000)
    scaled = scaled.when(value.abs() < bounds[2]).then(value).when(value.abs() < bounds[3]).then(value // 1000)
    return scaled.otherwise(value // 1_000_000).cast(pl.Int64, strict=False), code_of.cast(pl.UInt8)


def _date(value: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    milliseconds = value.dt.timestamp("ms")
    return milliseconds, pl.when(milliseconds.is_null()).then(0).otherwise(6).cast(pl.UInt8)
