"""Texts on disk, keyed by item or user: profiles, attributes, rationales."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

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

__all__ = ["TextsStore", "TextsWriter"]

_SHARD_CHARACTERS = 64 << 20
"""Shards are built in memory, so this bounds it."""


class TextsWriter:
    """Writes a :class:`TextsStore` in the order of its rows, a shard at a time.

    What an interrupted writer left is written again: whoever asks for texts keeps the answers himself, in a journal.
    Used as a context manager it keeps nothing of a block that fails.

    Args:
        path: Directory of the store.
        teacher: The teacher's name.
        teacher_fingerprint: Hash of its parameters and weights.
        dataset_fingerprint: Of what the rows are: the catalogue's for items, the split's for users.
        rows: Number of items or users.
        keyed_by: ``item`` or ``user``.
        meaning: What a text says.
        form: ``text``, or ``json`` for an object in each row.
        prompt_hash: Hash of the prompt, if there was one.

    Raises:
        KnowledgeError: The directory holds another store, or other files.
    """

    def __init__(
        self, path: str | Path, *, teacher: str, teacher_fingerprint: str, dataset_fingerprint: str, rows: int,
        keyed_by: str = "item", meaning: str = "text", form: Literal["text", "json"] = "text",
        prompt_hash: str | None = None,
    ) -> None:  # fmt: skip
        self.path = Path(path)
        self.header = Manifest(
            kind="texts", teacher=teacher, teacher_fingerprint=teacher_fingerprint, prompt_hash=prompt_hash,
            dataset_fingerprint=dataset_fingerprint, meaning=meaning, keyed_by=keyed_by, rows=rows, width=0, dtype=form,
        )  # fmt: skip
        self._waiting: list[tuple[int, str | None, float]] = []
        self._characters, self._last = 0, -1
        self._shards: list[Shard] = []
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None and not is_sealed(self.path):
            shutil.rmtree(self.path, ignore_errors=True)

    @property
    def sealed(self) -> bool:
        """Whether the store is finished, so that nothing needs to be written."""
        return is_sealed(self.path)

    def add(self, rows: Iterable[int], texts: Iterable[str | None], confidence: Iterable[float]) -> None:
        """Record the texts of some rows; None and confidence 0 where there was no answer.

        Raises:
            KnowledgeError: A row is outside the store or not behind the one before it.
        """
        for row, text, sure in zip(rows, texts, confidence, strict=True):
            if not self._last < row < self.header.rows:
                raise KnowledgeError(
                    f"row {row} after row {self._last} of {self.header.rows}", where=self.path, hint="write in order"
                )
            self._last = int(row)
            self._waiting.append((self._last, text, float(sure)))
            self._characters += len(text or "")
            if self._characters >= _SHARD_CHARACTERS:
                self._flush()

    def seal(self, **extra: Any) -> TextsStore:
        """Finish the store; ``extra`` goes into its manifest."""
        if not is_sealed(self.path):
            self._flush()
            manifest = self.header.replace(shards=tuple(self._shards), extra=extra)
            write_manifest(self.path / MANIFEST, manifest)
            (self.path / HEADER).unlink()
        return TextsStore.open(self.path, verify=False)

    def _begin(self) -> None:
        if is_sealed(self.path):
            check_same(parse_manifest(self.path / MANIFEST), self.header, self.path)
            return
        if (self.path / HEADER).is_file():
            check_same(parse_manifest(self.path / HEADER), self.header, self.path)
            for left in self.path.glob("shard-*"):
                left.unlink()
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise KnowledgeError("not empty and not a knowledge store", where=self.path, hint="choose another place")
        self.path.mkdir(parents=True, exist_ok=True)
        write_manifest(self.path / HEADER, self.header)

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._waiting:
            return
        rows, texts, confidence = zip(*self._waiting, strict=True)
        batch = pa.record_batch(
            {
                "row": pa.array(rows, pa.int64()),
                "text": pa.array(texts, pa.large_string()),
                "confidence": pa.array(np.array(confidence, dtype=np.float16)),
            }
        )
        file = self.path / f"shard-{len(self._shards):05d}.arrow"
        with atomic_path(file) as part, pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as out:
            out.write_batch(batch)
        self._shards.append(Shard(file=file.name, rows=len(rows), sha256=checksum(file)))
        self._waiting, self._characters = [], 0


class TextsStore:
    """Sealed texts, memory-mapped.

    Attributes:
        path: Its directory.
        manifest: Its description.
    """

    kind: ClassVar[Kind] = "texts"

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self._shards = [_read(path / shard.file) for shard in manifest.shards]
        if [shard.num_rows for shard in self._shards] != [shard.rows for shard in manifest.shards]:
            raise KnowledgeError("a shard has other rows than the manifest says", where=path, hint="teach again")
        rows = [shard.column("row").to_numpy() for shard in self._shards]
        self._rows: npt.NDArray[np.int64] = np.concatenate([np.zeros(0, dtype=np.int64), *rows])
        self._starts = np.cumsum([0] + [len(part) for part in rows])

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
        return cls(path, manifest)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.manifest.short()}>"

    def __len__(self) -> int:
        """Rows the store is about."""
        return self.manifest.rows

    @property
    def written(self) -> npt.NDArray[np.bool_]:
        """bool ``[rows]``: rows that hold an answer, be it an empty one."""
        out = np.zeros(len(self), dtype=np.bool_)
        out[self._rows] = True
        return out

    def read(self, rows: npt.ArrayLike) -> list[str | None]:
        """Texts of some rows; None where there was no answer or a row was never written.

        Raises:
            KnowledgeError: A row is outside the store.
        """
        return [text.as_py() if text is not None else None for text in self._column("text", rows)]

    def confidence(self, rows: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """How sure the teacher was of some rows: float32 ``[m]`` in [0, 1]; 0 = no answer."""
        found = self._column("confidence", rows)
        return np.array([0.0 if value is None else value.as_py() for value in found], dtype=np.float32)

    def _column(self, name: str, rows: npt.ArrayLike) -> Sequence[Any]:
        """Arrow scalars of one column; None for rows that were never written."""
        index = np.atleast_1d(np.asarray(rows, dtype=np.int64))
        if len(index) and (index.min() < 0 or index.max() >= len(self)):
            what = f"rows {index.min()}..{index.max()} are asked for, there are 0..{len(self) - 1}"
            raise KnowledgeError(what, where=self.path)
        slots = np.searchsorted(self._rows, index)
        shards = np.searchsorted(self._starts, slots, side="right") - 1
        there = np.append(self._rows, -1)[slots] == index
        return [
            self._shards[shard].column(name)[slot - self._starts[shard]] if known else None
            for shard, slot, known in zip(shards.tolist(), slots.tolist(), there.tolist(), strict=True)
        ]


def _read(file: Path) -> Any:
    """The one record batch of a shard."""
    import pyarrow as pa

    try:
        batch = pa.ipc.open_file(pa.memory_map(str(file))).get_batch(0)
        kinds = {"row": pa.int64(), "text": pa.large_string(), "confidence": pa.float16()}
        if {name: batch.schema.field(name).type for name in kinds} != kinds:
            raise pa.ArrowInvalid("has other columns than texts have")
    except (OSError, KeyError, pa.ArrowException) as error:
        raise KnowledgeError(
            f"this shard cannot be read ({error})", where=file, hint="remove it and teach again"
        ) from None
    return batch
