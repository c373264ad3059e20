"""Rankings on disk, keyed by training position."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..errors import KnowledgeError
from .codec import Codec, ScoreType
from .manifest import Kind, Manifest
from .rankings import Rankings
from .records import RecordsStore, RecordsWriter

__all__ = ["RankingsStore", "RankingsWriter"]


class RankingsWriter(RecordsWriter):
    """Writes a :class:`RankingsStore`; goes on where an interrupted writer with the same parameters stopped.

    Args:
        path: Directory of the store.
        teacher: The teacher's name.
        teacher_fingerprint: Hash of its parameters and weights.
        split_fingerprint: Of the split whose positions are the rows.
        rows: Number of training positions, the ends of rows included.
        k: Items in a ranking.
        n_items: Catalogue size.
        meaning: What a score means.
        scores: How log-probabilities are stored, see :class:`~recdistill.knowledge.codec.Codec`.
        contexts: Which positions are meant to be there: events, ends of rows, or all.
        prompt_hash: Hash of the prompt, if there was one.

    Raises:
        KnowledgeError: The directory holds another store, or other files.
    """

    def __init__(
        self, path: str | Path, *, teacher: str, teacher_fingerprint: str, split_fingerprint: str, rows: int, k: int,
        n_items: int, meaning: str, scores: ScoreType = "uint8", contexts: Literal["all", "events", "ends"] = "events",
        prompt_hash: str | None = None,
    ) -> None:  # fmt: skip
        self.codec = Codec(k, n_items, scores)
        header = Manifest(
            kind="rankings", teacher=teacher, teacher_fingerprint=teacher_fingerprint, prompt_hash=prompt_hash,
            dataset_fingerprint=split_fingerprint, meaning=meaning, keyed_by="position", rows=rows, width=k,
            dtype=scores, extra={"n_items": n_items, "contexts": contexts},
        )  # fmt: skip
        super().__init__(path, header, self.codec.width)

    def add(self, rows: npt.NDArray[np.int64], rankings: Rankings) -> None:
        """Record the rankings of some rows, empty ones too.

        Raises:
            KnowledgeError: A row is outside the store or was written before, or the rankings have another shape.
        """
        if rankings.items.shape != (len(rows), self.codec.k):
            raise KnowledgeError(
                f"rankings of shape {rankings.items.shape}, wanted is ({len(rows)}, {self.codec.k})", where=self.path
            )
        if np.isnan(rankings.logp).any() or np.isnan(rankings.tail).any():
            raise KnowledgeError("a ranking holds a score that is not a number", where=self.path)
        self.add_records(
            np.asarray(rows, dtype=np.int64),
            self.codec.encode(rankings.items, rankings.logp, rankings.tail, rankings.confidence),
        )

    def seal(self, **extra: Any) -> RankingsStore:
        """Finish the store; ``extra`` goes into its manifest."""
        self.seal_records(extra)
        return RankingsStore.open(self.path, verify=False)


class RankingsStore(RecordsStore):
    """Sealed rankings, memory-mapped."""

    kind: ClassVar[Kind] = "rankings"

    def __init__(self, path: Path, manifest: Manifest, width: int) -> None:
        super().__init__(path, manifest, width)
        self._codec = _codec(manifest)

    @staticmethod
    def record_width(manifest: Manifest) -> int:
        return _codec(manifest).width

    @property
    def k(self) -> int:
        """Items in a ranking."""
        return self.manifest.width

    @property
    def n_items(self) -> int:
        """Catalogue size."""
        return self._codec.n_items

    @property
    def contexts(self) -> str:
        """Positions that were ranked: ``events``, ``ends`` or ``all``."""
        return str(self.manifest.extra.get("contexts", "events"))

    @property
    def bytes_per_pair(self) -> float:
        """Stored bytes for each (item, score) pair, all of the record counted."""
        return self._codec.width / self._codec.k

    def read(self, rows: npt.ArrayLike) -> Rankings:
        """Rankings of some rows; a row never written has items -1 and confidence 0.

        Raises:
            KnowledgeError: A row is outside the store.
        """
        index = np.asarray(rows, dtype=np.int64)
        items, logp, tail, confidence = self._codec.decode(self.records(index))
        if self._slots is not None:
            absent = self._slots[index] < 0
            items[absent], logp[absent], tail[absent], confidence[absent] = -1, -np.inf, -np.inf, 0.0
        return Rankings(items, logp, tail, confidence)


def _codec(manifest: Manifest) -> Codec:
    n_items = manifest.extra.get("n_items")
    if not isinstance(n_items, int) or n_items < 1 or manifest.dtype not in ("uint8", "float16"):
        raise KnowledgeError("broken manifest: n_items or dtype of rankings", hint="teach again")
    return Codec(manifest.width, n_items, "uint8" if manifest.dtype == "uint8" else "float16")
