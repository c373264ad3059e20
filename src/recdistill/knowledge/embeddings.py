"""Embeddings on disk, keyed by item (or user, or anything else that is counted from 0)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..errors import KnowledgeError
from .manifest import Kind, Manifest
from .records import Bytes, RecordsStore, RecordsWriter

__all__ = ["EmbeddingsStore", "EmbeddingsWriter"]

Floats = npt.NDArray[np.float32]
VectorType = Literal["float16", "int8"]


class EmbeddingsWriter(RecordsWriter):
    """Writes an :class:`EmbeddingsStore`; goes on where an interrupted writer with the same parameters stopped.

    Args:
        path: Directory of the store.
        teacher: The teacher's name.
        teacher_fingerprint: Hash of its parameters and weights.
        dataset_fingerprint: Of what the rows are: the catalogue's for items.
        rows: Number of items.
        dim: Width of a vector.
        dtype: ``float16``, or ``int8`` with a float16 scale for each vector (error about 1/254 of its largest number).
        keyed_by: What a row is.
        meaning: What the vector is of.
        prompt_hash: Hash of the prompt template, if there was one.

    Raises:
        KnowledgeError: The directory holds another store, or other files.
    """

    def __init__(
        self, path: str | Path, *, teacher: str, teacher_fingerprint: str, dataset_fingerprint: str, rows: int,
        dim: int, dtype: VectorType = "float16", keyed_by: str = "item", meaning: str = "text embedding",
        prompt_hash: str | None = None,
    ) -> None:  # fmt: skip
        header = Manifest(
            kind="embeddings", teacher=teacher, teacher_fingerprint=teacher_fingerprint, prompt_hash=prompt_hash,
            dataset_fingerprint=dataset_fingerprint, meaning=meaning, keyed_by=keyed_by, rows=rows, width=dim,
            dtype=dtype,
        )  # fmt: skip
        super().__init__(path, header, _width(dim, dtype))

    def add(self, rows: npt.NDArray[np.int64], vectors: npt.NDArray[Any]) -> None:
        """Record the vectors of some rows, float ``[m, dim]``.

        Raises:
            KnowledgeError: A row is outside the store or was written before, or a vector is not finite.
        """
        if vectors.shape != (len(rows), self.header.width):
            raise KnowledgeError(
                f"vectors of shape {vectors.shape}, wanted is ({len(rows)}, {self.header.width})", where=self.path
            )
        values = np.clip(np.asarray(vectors, dtype=np.float32), -65504, 65504)
        if not np.isfinite(values).all():
            raise KnowledgeError("a vector holds a number that is not finite", where=self.path)
        self.add_records(np.asarray(rows, dtype=np.int64), _encode(values, self.header.dtype))

    def seal(self, **extra: Any) -> EmbeddingsStore:
        """Finish the store; ``extra`` goes into its manifest."""
        self.seal_records(extra)
        return EmbeddingsStore.open(self.path, verify=False)


class EmbeddingsStore(RecordsStore):
    """Sealed embeddings, memory-mapped."""

    kind: ClassVar[Kind] = "embeddings"

    @staticmethod
    def record_width(manifest: Manifest) -> int:
        return _width(manifest.width, manifest.dtype)

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self.manifest.width

    def read(self, rows: npt.ArrayLike) -> Floats:
        """Vectors of some rows: float32 ``[m, dim]``; zeros where a row was never written.

        Raises:
            KnowledgeError: A row is outside the store.
        """
        return _decode(self.records(rows), self.manifest.dtype)

    def all(self) -> Floats:
        """All vectors: float32 ``[rows, dim]``."""
        return self.read(np.arange(len(self)))


def _width(dim: int, dtype: str) -> int:
    if dtype not in ("float16", "int8"):
        raise KnowledgeError(f"no embeddings are stored as {dtype!r}", hint="use 'float16' or 'int8'")
    return 2 * dim if dtype == "float16" else 2 + dim


def _encode(vectors: Floats, dtype: str) -> Bytes:
    if dtype == "float16":
        return vectors.astype("<f2").view(np.uint8)
    # rounded up, so that no code leaves -127..127; a subnormal scale would lose its digits
    scale = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0) / 127
    half = np.maximum(np.nextafter(scale.astype("<f2"), np.float16(np.inf)), np.float16(6.2e-5))
    codes = np.rint(vectors / half.astype(np.float32)).astype(np.int8)
    return np.concatenate([half.astype("<f2").view(np.uint8), codes.view(np.uint8)], axis=1)


def _decode(records: Bytes, dtype: str) -> Floats:
    if dtype == "float16":
        return records.view("<f2").astype(np.float32)
    scale = np.ascontiguousarray(records[:, :2]).view("<f2").astype(np.float32)
    return records[:, 2:].view(np.int8).astype(np.float32) * scale
