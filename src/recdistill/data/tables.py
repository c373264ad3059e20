"""Anything that holds rows, as a lazy polars frame that remembers where its lines are."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ..errors import DataError, nearest

__all__ = ["Table", "scan"]

_ATOMIC = (".inter", ".item", ".user")
_SMALL = 64 * 2**20
"""Bytes up to which a text file's encoding is checked (and Latin-1 is understood)."""


@dataclass(frozen=True)
class Table:
    """Rows that have not been read yet.

    Attributes:
        frame: All columns, in file order.
        place: File name or kind of table, for messages.
        lines_before: Lines of the file before its first row; None if the source is not a text file.
        parts: The tables that this one is made of, one below the other.
        source: The file, if it is one.
        separator: Between the fields of a text file.
    """

    frame: pl.LazyFrame
    place: str
    lines_before: int | None = None
    parts: tuple[Table, ...] = ()
    source: Path | None = None
    separator: str = ","

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return list(self.schema)

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Type of each column."""
        try:
            return self.frame.collect_schema()
        except pl.exceptions.PolarsError as error:
            raise self.broken(error) from None

    def records(self, rows: npt.NDArray[np.int64]) -> pl.DataFrame:
        """Some rows as they stand in the file: columns ``file``, ``line`` (counted from 1) and ``record`` (JSON).

        Args:
            rows: Row numbers from 0, ascending.
        """
        if self.parts:
            return self._records_of_parts(rows)
        index, breaks = pl.int_range(pl.len()).alias("row"), pl.lit(0)
        if self.lines_before is not None:  # a quoted line break makes one row out of two lines
            inside = pl.sum_horizontal(pl.col(pl.String).str.count_matches("\n", literal=True).fill_null(0))
            breaks = inside.cum_sum() - inside
        line = (index + breaks + 1 + (self.lines_before or 0)).cast(pl.Int64).alias("line")
        record = pl.struct(pl.all()).alias("record")
        found = self.frame.select(index, line, record).filter(pl.col("row").is_in(pl.Series(rows).implode()))
        json = pl.col("record").struct.json_encode()
        return Table(found, self.place).collect(pl.lit(self.place).alias("file"), pl.col("line"), json)

    def _records_of_parts(self, rows: npt.NDArray[np.int64]) -> pl.DataFrame:
        frames, start = [], 0
        for part in self.parts:
            stop = start + int(part.collect(pl.len()).item())
            frames.append(part.records(rows[(rows >= start) & (rows < stop)] - start))
            start = stop
        return pl.concat(frames)

    def where(self, row: int) -> str:
        """The place of a row (counted from 0): ``"ratings.csv, line 12"``."""
        file, line, _ = self.records(np.array([row])).row(0)
        return f"{file}, {'row' if self.lines_before is None else 'line'} {line}"

    def collect(self, *columns: pl.Expr | str) -> pl.DataFrame:
        """Read some columns; a file larger than memory is streamed through.

        Raises:
            DataError: The file is not what its name promises.
        """
        try:
            return self.frame.select(*columns).collect(engine="streaming")
        except (pl.exceptions.PolarsError, OSError) as error:
            raise self.broken(error) from None

    def renamed(self, *names: str) -> Table:
        """The same columns under other names, for files without a header.

        Raises:
            DataError: The number of columns is another.
        """
        if len(names) != len(self.columns):
            raise DataError(f"has {len(self.columns)} columns instead of {len(names)}", where=self.place)
        return replace(self, frame=self.frame.rename(dict(zip(self.columns, names, strict=True))))

    def select(self, *columns: pl.Expr | str) -> Table:
        """Other columns, the same rows."""
        return replace(self, frame=self.frame.select(*columns))

    def broken(self, error: Exception) -> DataError:
        """One clear line from a parser's long one."""
        if "utf-8" in str(error).lower() or "utf8" in str(error).lower():
            return DataError("is not UTF-8 text", where=self.place, hint="convert it: iconv -f latin1 -t utf8")
        if "more fields" in str(error) and self.source is not None:
            where = f"{self.place}, line {_first_long_line(self.source, self.separator)}"
            return DataError("more fields than the header has", where=where, hint="quote text that holds a separator")
        reason = str(error).strip().partition("\n")[0]
        hint = "is it complete?" if self.lines_before is None else "check its separators and quotes"
        return DataError(f"cannot be read ({reason:.200})", where=self.place, hint=hint)


def scan(source: Any) -> Table:
    """Open a table without reading it.

    Args:
        source: Path of a ``.csv``, ``.tsv``, ``.txt``, ``.dat`` or RecBole ``.inter``/``.item`` file (also ``.gz`` and
            ``.zst``) or of a ``.parquet`` file; or a polars, pandas, pyarrow or Hugging Face ``datasets`` table;
            or a list of these, to be read one below the other.
            Text files may lack a header: their columns are then called ``column_1``, ``column_2``, …

    Raises:
        DataError: No such file, an empty one, or a type that cannot be read.
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, (list, tuple)) and source:
        return _stack([scan(part) for part in source])
    if isinstance(source, (str, Path)):
        return _scan_file(Path(source))
    kind = f"{type(source).__module__.partition('.')[0]} table"
    if isinstance(source, pl.LazyFrame):
        return Table(source, kind)
    if isinstance(source, pl.DataFrame):
        return Table(source.lazy(), kind)
    if kind == "pandas table" and hasattr(source, "iloc"):
        return Table(pl.from_pandas(source).lazy(), kind)
    if kind == "pyarrow table" and hasattr(source, "to_batches"):
        return Table(_from_arrow(source), kind)
    if kind == "datasets table" and hasattr(source, "with_format"):
        if isinstance(source, dict):
            raise DataError("has several splits", where=kind, hint=f"choose one of: {', '.join(source)}")
        return Table(_from_arrow(source.with_format("arrow")[:]), kind)
    raise DataError(
        f"cannot read a {type(source).__module__}.{type(source).__qualname__}",
        hint="give a file or a polars, pandas, pyarrow or datasets table",
    )


def _stack(parts: list[Table]) -> Table:
    first = parts[0]
    for part in parts[1:]:
        missing = set(first.columns) - set(part.columns)
        if missing:
            raise DataError(f"lacks the columns {', '.join(sorted(missing))} of {first.place}", where=part.place)
    frame = pl.concat([part.frame.select(first.columns) for part in parts], how="vertical_relaxed")
    return Table(frame, ", ".join(part.place for part in parts), first.lines_before, tuple(parts))


def _from_arrow(table: Any) -> pl.LazyFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame.lazy()


def _scan_file(path: Path) -> Table:
    if path.is_dir():
        raise DataError("is a folder", where=path, hint="name a file in it, or use read_movielens or read_recbole")
    if not path.exists():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError("no such file", where=path, hint=nearest(path.name, beside[:50]))
    if path.stat().st_size == 0:
        raise DataError("the file is empty", where=path)
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in (".gz", ".zst")]
    suffix = suffixes[-1] if suffixes else ""
    if suffix in (".parquet", ".pq"):
        return Table(pl.scan_parquet(path), path.name)
    return _scan_text(path, suffix)


def _scan_text(path: Path, suffix: str) -> Table:
    source = _utf8(path)
    table = Table(
        pl.scan_csv(source, separator="\x1f", quote_char=None, has_header=False, infer_schema=False), path.name
    )
    first = table.collect(pl.first().head(1)).item(0, 0) or ""
    separator = "\t" if suffix == ".tsv" else _separator(first)
    names = first.removeprefix("\ufeff").split(separator)
    header = not any(map(_is_number, names))
    if separator == "::":
        return _scan_double_colon(table, names, header)
    frame = pl.scan_csv(
        source,
        separator=separator,
        has_header=header,
        infer_schema=False,  # ids stay text: "007" is not 7
        quote_char=None if suffix in (*_ATOMIC, ".dat", ".data") else '"',
        new_columns=None if header else [f"column_{i + 1}" for i in range(len(names))],
    )
    found = Table(frame, path.name, int(header), source=path, separator=separator)
    return _untyped(found) if suffix in _ATOMIC and header else found


def _separator(line: str) -> str:
    """Two that never stand in text win; of the others the most frequent."""
    return next((s for s in ("::", "\t") if s in line), max(",;|", key=line.count))


def _utf8(path: Path) -> Path | io.BytesIO:
    """The path itself, or the text in memory where a small file is Latin-1 (as MovieLens files are)."""
    if path.suffix.lower() in (".gz", ".zst") or path.stat().st_size > _SMALL:
        return path
    data = path.read_bytes()
    try:
        data.decode("utf-8")
        return path
    except UnicodeDecodeError:
        return io.BytesIO(data.decode("latin-1").encode())


def _is_number(text: str) -> bool:
    try:
        float(text.strip('"'))
        return True
    except ValueError:
        return False


def _first_long_line(path: Path, separator: str) -> int | str:
    """Only to explain an error, so slow is good enough."""
    if path.suffix.lower() == ".zst":
        return "unknown"
    open_text = gzip.open if path.suffix.lower() == ".gz" else open
    with open_text(path, "rt", encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=separator)
        width = len(next(rows))
        return next((rows.line_num for row in rows if len(row) > width), "unknown")


def _scan_double_colon(lines: Table, names: list[str], header: bool) -> Table:
    """MovieLens 1M and 10M: two characters separate, which polars cannot; so lines are split one by one."""
    if not header:
        names = [f"column_{i + 1}" for i in range(len(names))]
    parts = pl.first().str.splitn("::", len(names)).struct.rename_fields(names).alias("parts")
    frame = lines.frame.slice(int(header)).select(parts).unnest("parts")
    return Table(frame, lines.place, int(header))


def _untyped(table: Table) -> Table:
    """RecBole's ``class:token_seq`` becomes ``class``; words of a sequence that are categories get a ``|`` between."""
    from .columns import guess_columns

    names = [name.partition(":")[0] for name in table.columns]
    kinds = dict(zip(names, (name.partition(":")[2] for name in table.columns), strict=True))
    frame = table.frame.rename(dict(zip(table.columns, names, strict=True)))
    categories = guess_columns(names).get("categories")
    if categories and kinds[categories] == "token_seq":
        frame = frame.with_columns(pl.col(categories).str.replace_all(" ", "|", literal=True))
    return replace(table, frame=frame)
