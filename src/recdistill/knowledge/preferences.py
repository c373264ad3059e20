"""Pairs on disk of which a teacher likes one item better, keyed by training position."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import KnowledgeError
from .manifest import Kind, Manifest
from .records import RecordsStore, RecordsWriter

__all__ = ["Preferences", "PreferencesStore", "PreferencesWriter"]

Floats = npt.NDArray[np.float32]
Items = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Preferences:
    """Pairs of items in ``n`` contexts, ``m`` each at most.

    Attributes:
        better: int32 ``[n, m]``, the item that is preferred; -1 = no pair (always behind the pairs).
        worse: int32 ``[n, m]``, the other one.
        margin: float32 ``[n, m]``, natural-log odds that the first is preferred, at least 0.
        confidence: float32 ``[n, m]`` in [0, 1]; 0 = no answer.
    """

    better: Items
    worse: Items
    margin: Floats
    confidence: Floats

    def __len__(self) -> int:
        return len(self.better)

    def __repr__(self) -> str:
        return f"<Preferences: {len(self):,}, of {self.better.shape[1]} pairs each>"

    @staticmethod
    def none(n: int, m: int) -> Preferences:
        """``n`` times no answer."""
        no_item, zero = np.full((n, m), -1, dtype=np.int32), np.zeros((n, m), dtype=np.float32)
        return Preferences(no_item, no_item.copy(), zero, zero.copy())

    def take(self, rows: npt.NDArray[np.int64]) -> Preferences:
        """Some of the rows."""
        return Preferences(self.better[rows], self.worse[rows], self.margin[rows], self.confidence[rows])


class PreferencesWriter(RecordsWriter):
    """Writes a :class:`PreferencesStore`; goes on where an interrupted writer with the same parameters stopped.

    Args:
        path: Directory of the store.
        teacher: The teacher's name.
        teacher_fingerprint: Hash of its parameters and weights.
        split_fingerprint: Of the split whose positions are the rows.
        rows: Number of training positions, the ends of rows included.
        pairs: Pairs in a row at most.
        n_items: Catalogue size.
        meaning: What a margin means.
        prompt_hash: Hash of the prompt, if there was one.

    Raises:
        KnowledgeError: The directory holds another store, or other files.
    """

    def __init__(
        self, path: str | Path, *, teacher: str, teacher_fingerprint: str, split_fingerprint: str, rows: int,
        pairs: int, n_items: int, meaning: str, prompt_hash: str | None = None,
    ) -> None:  # fmt: skip
        header = Manifest(
            kind="preferences", teacher=teacher, teacher_fingerprint=teacher_fingerprint, prompt_hash=prompt_hash,
            dataset_fingerprint=split_fingerprint, meaning=meaning, keyed_by="position", rows=rows, width=pairs,
            dtype="float16", extra={"n_items": n_items},
        )  # fmt: skip
        self.n_items = n_items
        super().__init__(path, header, _layout(pairs).itemsize)

    def add(self, rows: npt.NDArray[np.int64], preferences: Preferences) -> None:
        """Record the pairs of some rows, empty ones too.

        Raises:
            KnowledgeError: A row is outside the store or was written before, or a pair is none: items that are not in
                the catalogue or the same, a margin below 0 or not a number, a confidence outside [0, 1].
        """
        shape = (len(rows), self.header.width)
        for name in ("better", "worse", "margin", "confidence"):
            found = getattr(preferences, name).shape
            if found != shape:
                raise KnowledgeError(f"{name} of shape {found}, wanted is {shape}", where=self.path)
        self._check(preferences)
        records = np.zeros(len(rows), dtype=_layout(shape[1]))
        records["better"], records["worse"] = preferences.better, preferences.worse
        records["margin"] = np.minimum(preferences.margin, 65504)
        records["confidence"] = preferences.confidence
        self.add_records(np.asarray(rows, dtype=np.int64), records.view(np.uint8).reshape(len(rows), -1))

    def _check(self, pairs: Preferences) -> None:
        listed = pairs.better >= 0
        known = (pairs.better < self.n_items) & (pairs.worse < self.n_items) & (pairs.worse >= 0) == listed
        if not known.all() or (listed & (pairs.better == pairs.worse)).any():
            raise KnowledgeError("a pair names the same item twice, or one outside the catalogue", where=self.path)
        sound = (pairs.margin >= 0) & (pairs.confidence >= 0) & (pairs.confidence <= 1)
        if not sound.all():
            raise KnowledgeError("a margin or confidence is negative or not a number", where=self.path)

    def seal(self, **extra: Any) -> PreferencesStore:
        """Finish the store; ``extra`` goes into its manifest."""
        self.seal_records(extra)
        return PreferencesStore.open(self.path, verify=False)


class PreferencesStore(RecordsStore):
    """Sealed preferences, memory-mapped."""

    kind: ClassVar[Kind] = "preferences"

    @staticmethod
    def record_width(manifest: Manifest) -> int:
        return _layout(manifest.width).itemsize

    @property
    def pairs(self) -> int:
        """Pairs in a row at most."""
        return self.manifest.width

    def read(self, rows: npt.ArrayLike) -> Preferences:
        """Pairs of some rows; a row never written has items -1 and confidence 0.

        Raises:
            KnowledgeError: A row is outside the store.
        """
        index = np.asarray(rows, dtype=np.int64)
        found = np.ascontiguousarray(self.records(index)).view(_layout(self.pairs)).reshape(len(index))
        better, worse = found["better"].astype(np.int32), found["worse"].astype(np.int32)
        margin, confidence = found["margin"].astype(np.float32), found["confidence"].astype(np.float32)
        if self._slots is not None:
            absent = self._slots[index] < 0
            better[absent], worse[absent] = -1, -1
        return Preferences(better, worse, margin, confidence)


def _layout(pairs: int) -> np.dtype[np.void]:
    """One row: 12 bytes for each pair."""
    fields = [("better", "<i4"), ("worse", "<i4"), ("margin", "<f2"), ("confidence", "<f2")]
    return np.dtype([(name, kind, (pairs,)) for name, kind in fields])
