"""Answers that a journal has handed over: Parquet files beside it, read by key.

A shard is written whole, then named in the journal in the same transaction that takes its rows out of it. A file that
the journal does not name is a leftover of a compaction that died, and is written over by the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import TeacherError
from ...files import atomic_path
from ...registry import need

__all__ = ["COLUMNS", "Row", "Shards", "folder_of", "write_shard"]

COLUMNS = ("key", "attempt", "state", "answer", "why", "tokens_in", "tokens_out")
"""Of a shard and of the journal's table."""
_GROUP = 1024
"""Rows that are compressed and read together; answers of a job lie near each other."""
_KEPT = 8
"""Groups of a shard that are kept in memory."""

Row = tuple[bytes, int, str, bytes | None, str | None, int, int]
"""The columns of an answer."""


def folder_of(journal: Path) -> Path:
    """Where the shards of a journal are."""
    return journal.with_name(journal.name + "-shards")


def write_shard(path: Path, rows: Iterable[Row]) -> int:
    """Write rows as a shard, atomically; how many there were.

    Args:
        path: The file.
        rows: In the order in which they were filed.
    """
    arrow, parquet = need("pyarrow", "data"), need("pyarrow.parquet", "data")
    small = arrow.dictionary(arrow.int8(), arrow.string())
    types = [arrow.binary(16), arrow.int32(), small, arrow.binary(), arrow.string(), arrow.int64(), arrow.int64()]
    schema = arrow.schema(list(zip(COLUMNS, types, strict=True)))
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with atomic_path(path) as part, parquet.ParquetWriter(part, schema, compression="zstd") as writer:
        for group in _groups(rows):
            columns = [list(column) for column in zip(*group, strict=True)]
            arrays = [arrow.array(column, kind) for column, kind in zip(columns, types, strict=True)]
            writer.write_table(arrow.table(arrays, schema=schema), row_group_size=_GROUP)
            written += len(group)
    return written


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == _GROUP:
            yield group
            group = []
    if group:
        yield group


class Place(NamedTuple):
    """Where the newest answer to a question is."""

    shard: _Shard
    row: int
    attempt: int


class Shards:
    """The shards of a journal.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, _Shard] = {}

    def use(self, names: Sequence[str]) -> None:
        """Read these, in the order of their age.

        Raises:
            TeacherError: One is missing or broken.
        """
        if list(self._open) != list(names):
            self._open = {name: self._open.get(name) or _Shard(self._folder / name) for name in names}

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Place]:
        """Where the newest answers to some questions are."""
        found: dict[bytes, Place] = {}
        for shard in self._open.values():
            for key, row in shard.find(keys):
                attempt = int(shard.attempts[row])
                if key not in found or found[key].attempt < attempt:
                    found[key] = Place(shard, row, attempt)
        return found

    def counted(self, column: str) -> Iterator[tuple[str, int]]:
        """Each value of a column and its rows, shard by shard."""
        for shard in self._open.values():
            yield from shard.counted(column)

    def states(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, int, str]]:
        """Number and state of each attempt at some questions."""
        for shard in self._open.values():
            for key, row in shard.find(keys):
                yield key, int(shard.attempts[row]), shard.state(row)

    def tokens(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, int, int]]:
        """Tokens read and written of each attempt at some questions."""
        for shard in self._open.values():
            for key, row in shard.find(keys):
                yield key, *shard.tokens(row)


class _Shard:
    """One file: its keys in memory, its answers read by groups."""

    def __init__(self, path: Path) -> None:
        self.path = path
        parquet = need("pyarrow.parquet", "data")
        try:
            self._file = parquet.ParquetFile(path)
            table = self._file.read(["key", "attempt"])
        except (OSError, ValueError) as error:
            what = f"cannot be read, and answers are in it ({' '.join(str(error).split())[:200]})"
            raise TeacherError(what, where=path, hint="bring it back, or name another journal") from None
        self.attempts = table["attempt"].to_numpy()
        whole = table["key"].combine_chunks()
        self._keys = np.frombuffer(whole.buffers()[1], dtype=np.uint8).reshape(-1, 16)[whole.offset :][: len(whole)]
        heads = np.ascontiguousarray(self._keys[:, :8]).view(">u8")[:, 0].astype(np.uint64)
        self._order = np.argsort(heads, kind="stable")
        self._heads = heads[self._order]
        starts = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        self._ends = np.cumsum(starts)
        self._group = lru_cache(_KEPT)(self._read_group)

    def find(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
        """Key and row of all attempts at some questions, older ones first."""
        wanted = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, 16)
        heads = np.ascontiguousarray(wanted[:, :8]).view(">u8")[:, 0].astype(np.uint64)
        first, last = np.searchsorted(self._heads, heads), np.searchsorted(self._heads, heads, "right")
        for place in np.flatnonzero(last > first).tolist():
            for row in self._order[first[place] : last[place]].tolist():
                if self._keys[row].tobytes() == keys[place]:
                    yield keys[place], row

    def state(self, row: int) -> str:
        """What became of the question."""
        return str(self._value(row, "state"))

    def answer(self, row: int) -> tuple[bytes | None, str | None]:
        """The packed reply and the reason."""
        return self._value(row, "answer"), self._value(row, "why")

    def tokens(self, row: int) -> tuple[int, int]:
        """Read and written."""
        return int(self._value(row, "tokens_in")), int(self._value(row, "tokens_out"))

    def counted(self, column: str) -> Iterator[tuple[str, int]]:
        """Each value of a column and its rows."""
        found = self._file.read([column])[column].drop_null().value_counts()
        for value in found.to_pylist():
            yield str(value["values"]), int(value["counts"])

    def _value(self, row: int, column: str) -> Any:
        group = int(np.searchsorted(self._ends, row, "right"))
        start = int(self._ends[group - 1]) if group else 0
        return self._group(group, column)[row - start].as_py()

    def _read_group(self, group: int, column: str) -> Any:
        return self._file.read_row_group(group, [column])[column].combine_chunks()
