"""Fixed-size records by row: resumable writing, sealing, and random reading from memory-mapped Arrow shards.

While a store grows it is ``header.json`` and parts, each a whole file (written beside, then renamed), so ``kill -9``
costs at most the rows since the last part. Sealing merges the parts into shards in row order and writes the manifest
last; a batch of rows is then one gather.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from ..errors import KnowledgeError
from ..files import atomic_path, checksum
from .manifest import (
    HEADER,
    MANIFEST,
    Kind,
    Manifest,
    Shard,
    check_same,
    is_sealed,
    parse_manifest,
    read_manifest,
    verify_shards,
    write_manifest,
)

__all__ = ["RecordsStore", "RecordsWriter"]

log = logging.getLogger("recdistill")

Bytes = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]

_PART_BYTES = 8 << 20
_PART_SECONDS = 20.0
"""A part is written when this much has gathered, or this long after the one before."""
_SHARD_BYTES = 256 << 20
"""Shards are built in memory, so this bounds it."""


class RecordsWriter:
    """Writes records in any order of rows, each row once; picks up what an earlier, interrupted writer left.

    Used as a context manager it keeps what was added when an exception ends the block, and nobody else can write there
    until then.

    Args:
        path: Directory of the store.
        header: All but the shards.
        width: Bytes in a record.

    Raises:
        KnowledgeError: The directory holds a store with other parameters, or other files, or another writer is at work.
    """

    def __init__(self, path: str | Path, header: Manifest, width: int) -> None:
        self.path, self.header, self.width = Path(path), header, width
        self.done: npt.NDArray[np.bool_] = np.zeros(header.rows, dtype=np.bool_)
        """bool ``[rows]``: rows that need not be written again."""
        self._waiting: list[tuple[Rows, Bytes]] = []
        self._bytes, self._written = 0, time.monotonic()
        if is_sealed(self.path):
            check_same(parse_manifest(self.path / MANIFEST), header, self.path)
            self.done[:] = True
            return
        if self.path.exists() and not self.path.is_dir():
            raise KnowledgeError("not a directory", where=self.path, hint="choose another place")
        self.path.mkdir(parents=True, exist_ok=True)
        self._release = weakref.finalize(self, os.close, _locked(self.path))
        if is_sealed(self.path):  # by somebody who was at work until now
            self.done[:] = True
        elif (self.path / HEADER).is_file():
            check_same(parse_manifest(self.path / HEADER), header, self.path)
            self._resume()
        else:
            self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not is_sealed(self.path):
            self.flush()
            self._release()

    def add_records(self, rows: Rows, records: Bytes) -> None:
        """Take some rows' records, uint8 ``[m, width]``; on disk at the next part or :meth:`flush`.

        Raises:
            KnowledgeError: A row is outside the store or was written before.
        """
        _check_rows(rows, len(self.done), self.path)
        if self.done[rows].any() or len(np.unique(rows)) < len(rows):
            raise KnowledgeError("a row is written twice", where=self.path)
        self.done[rows] = True
        self._waiting.append((rows, records))
        self._bytes += records.nbytes
        if self._bytes >= _PART_BYTES or time.monotonic() - self._written >= _PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered as a part."""
        if self._waiting:
            rows, records = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
            number = max((int(part.stem.partition("-")[2]) for part in self._parts()), default=-1) + 1
            _write_arrow(self.path / f"part-{number:05d}.arrow", records, rows)
        self._waiting, self._bytes, self._written = [], 0, time.monotonic()

    def seal_records(self, extra: dict[str, Any]) -> None:
        """Merge the parts into shards in row order, write the manifest, remove the parts."""
        if is_sealed(self.path):
            return
        if not self._release.alive:
            self._release = weakref.finalize(self, os.close, _locked(self.path))
        try:
            self.flush()
            self._seal(extra)
        finally:
            self._release()

    def _seal(self, extra: dict[str, Any]) -> None:
        for left in self.path.glob("shard-*"):
            left.unlink()  # of a seal that was interrupted
        shards = tuple(self._merge())
        manifest = self.header.replace(shards=shards, extra=self.header.extra | extra)
        write_manifest(self.path / MANIFEST, manifest)
        for part in [*self._parts(), self.path / HEADER]:
            part.unlink()

    def _begin(self) -> None:
        if any(self.path.iterdir()):
            raise KnowledgeError("not empty and not a knowledge store", where=self.path, hint="choose another place")
        write_manifest(self.path / HEADER, self.header)

    def _resume(self) -> None:
        for left in self.path.glob(".*.part"):
            left.unlink()
        for part in self._parts():
            try:
                rows, _ = _read_arrow(part, self.width)
            except KnowledgeError as error:
                log.warning("%s; its rows are written again", error)
                part.unlink()
            else:
                self.done[rows] = True

    def _parts(self) -> list[Path]:
        return sorted(self.path.glob("part-*.arrow"))

    def _merge(self) -> list[Shard]:
        parts = [_read_arrow(part, self.width) for part in self._parts()]
        rows = np.concatenate([rows for rows, _ in parts] or [np.zeros(0, dtype=np.int64)])
        part_of = np.repeat(np.arange(len(parts)), [len(rows) for rows, _ in parts])
        slot_of = np.concatenate([np.arange(len(rows)) for rows, _ in parts] or [rows])
        order = np.argsort(rows, kind="stable")
        dense = len(rows) == len(self.done)
        step = max(_SHARD_BYTES // self.width, 1)
        shards = []
        for number, start in enumerate(range(0, len(order), step)):
            take = order[start : start + step]
            records = np.empty((len(take), self.width), dtype=np.uint8)
            for p in np.unique(part_of[take]):
                mine = part_of[take] == p
                records[mine] = parts[p][1][slot_of[take[mine]]]
            file = self.path / f"shard-{number:05d}.arrow"
            _write_arrow(file, records, None if dense else rows[take])
            shards.append(Shard(file=file.name, rows=len(take), sha256=checksum(file)))
        return shards


class RecordsStore:
    """A sealed store, memory-mapped.

    Attributes:
        path: Its directory.
        manifest: Its description.
    """

    kind: ClassVar[Kind]

    def __init__(self, path: Path, manifest: Manifest, width: int) -> None:
        self.path, self.manifest, self._width = path, manifest, width
        files = [_read_arrow(path / shard.file, width) for shard in manifest.shards]
        if [len(records) for _, records in files] != [shard.rows for shard in manifest.shards]:
            raise KnowledgeError("a shard has other rows than the manifest says", where=path, hint="teach again")
        self._shards = [records for _, records in files]
        self._starts = np.cumsum([0] + [len(records) for records in self._shards])
        if self._starts[-1] > manifest.rows:
            raise KnowledgeError("its shards have more rows than the store", where=path, hint="teach again")
        self._slots: npt.NDArray[np.int64] | None = None
        """Row to place in the shards, or -1; None where every row has its place."""
        if self._starts[-1] < manifest.rows:
            self._slots = np.full(manifest.rows, -1, dtype=np.int64)
            self._slots[np.concatenate([rows for rows, _ in files] or [self._starts[:0]])] = np.arange(self._starts[-1])

    @classmethod
    def open(cls, path: str | Path, fingerprint: str | None = None, verify: bool = True) -> Self:
        """Open a sealed store.

        Args:
            path: Its directory.
            fingerprint: Of the data it must have been made for; None to take any.
            verify: Compare every shard with its checksum first (reads all of it once).

        Raises:
            KnowledgeError: It is missing, not sealed, broken, of a newer version, or made for other data.
        """
        path = Path(path)
        manifest = read_manifest(path, cls.kind, fingerprint)
        if verify:
            verify_shards(path, manifest)
        return cls(path, manifest, cls.record_width(manifest))

    @staticmethod
    def record_width(manifest: Manifest) -> int:
        """Bytes in a record."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.manifest.short()}>"

    def __len__(self) -> int:
        """Rows the store is about."""
        return self.manifest.rows

    @property
    def written(self) -> npt.NDArray[np.bool_]:
        """bool ``[rows]``: rows that hold an answer, be it an empty one."""
        return np.ones(len(self), dtype=np.bool_) if self._slots is None else self._slots >= 0

    def records(self, rows: npt.ArrayLike) -> Bytes:
        """Stored bytes of some rows, uint8 ``[m, width]``; zeros where a row was never written.

        Raises:
            KnowledgeError: A row is outside the store.
        """
        index = np.asarray(rows, dtype=np.int64)
        _check_rows(index, len(self), self.path)
        if self._slots is not None:
            index = self._slots[index]
        if len(self._shards) == 1 and self._slots is None:
            return self._shards[0].take(index, axis=0)
        out = np.zeros((len(index), self._width), dtype=np.uint8)
        for start, shard in zip(self._starts, self._shards, strict=False):
            mine = np.flatnonzero((index >= start) & (index < start + len(shard)))
            out[mine] = shard.take(index[mine] - start, axis=0)
        return out


def _locked(directory: Path) -> int:
    """A descriptor of the directory that locks it; two writers at once would each write every row."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        hint = "wait for it, then run this again"
        raise KnowledgeError("another process is writing here", where=directory, hint=hint) from None
    return descriptor


def _check_rows(rows: Rows, n: int, where: Path) -> None:
    if len(rows) and (rows.min() < 0 or rows.max() >= n):
        raise KnowledgeError(f"rows {rows.min()}..{rows.max()} are asked for, there are 0..{n - 1}", where=where)


def _write_arrow(file: Path, records: Bytes, rows: Rows | None) -> None:
    """One record batch, so that a reader sees one contiguous block."""
    import pyarrow as pa

    kind = pa.binary(records.shape[1])
    block = pa.FixedSizeBinaryArray.from_buffers(
        kind, len(records), [None, pa.py_buffer(np.ascontiguousarray(records))]
    )
    columns = {"record": block} if rows is None else {"row": pa.array(rows, pa.int64()), "record": block}
    batch = pa.record_batch(columns)
    with atomic_path(file) as part, pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


def _read_arrow(file: Path, width: int) -> tuple[Rows, Bytes]:
    """Rows (empty if they are consecutive from the first on) and records of one file, memory-mapped."""
    import pyarrow as pa

    try:
        batch = pa.ipc.open_file(pa.memory_map(str(file))).get_batch(0)
        block = batch.column("record")
        if block.type != pa.binary(width):
            raise pa.ArrowInvalid(f"records of {block.type}, wanted are {width} bytes")
        records = np.frombuffer(block.buffers()[1], dtype=np.uint8, count=len(block) * width).reshape(-1, width)
        rows = batch.column("row").to_numpy() if "row" in batch.schema.names else np.zeros(0, dtype=np.int64)
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise KnowledgeError(
            f"this shard cannot be read ({error})", where=file, hint="remove it and teach again"
        ) from None
    return rows, records
