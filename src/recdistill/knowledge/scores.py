"""Logits on disk, keyed by example: of classes, tasks or grades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import KnowledgeError
from .manifest import Kind, Manifest
from .records import RecordsStore, RecordsWriter

__all__ = ["Scores", "ScoresStore", "ScoresWriter"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a teacher says of ``n`` examples.

    Attributes:
        logits: float32 ``[n, classes]``; natural-log odds for a single class, logits of a softmax for several.
        confidence: float32 ``[n]`` in [0, 1]; 0 = no answer.
        keys: int32 ``[n, any]``, what an example is about where its row number does not say it, such as position and
            item; no columns otherwise.
    """

    logits: Floats
    confidence: Floats
    keys: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.logits)

    def __repr__(self) -> str:
        return f"<Scores: {len(self):,}, of {self.logits.shape[1]} classes each>"

    def take(self, rows: npt.NDArray[np.int64]) -> Scores:
        """Some of the examples."""
        return Scores(self.logits[rows], self.confidence[rows], self.keys[rows])


class ScoresWriter(RecordsWriter):
    """Writes a :class:`ScoresStore`; goes on where an interrupted writer with the same parameters stopped.

    Args:
        path: Directory of the store.
        teacher: The teacher's name.
        teacher_fingerprint: Hash of its parameters and weights.
        dataset_fingerprint: Of what the rows are.
        rows: Number of examples.
        classes: Names of what has a logit each.
        meaning: What a logit means.
        keyed_by: What a row is.
        keys: Names of the numbers that say what an example is about, if its row number does not.
        prompt_hash: Hash of the prompt, if there was one.

    Raises:
        KnowledgeError: The directory holds another store, or other files.
    """

    def __init__(
        self, path: str | Path, *, teacher: str, teacher_fingerprint: str, dataset_fingerprint: str, rows: int,
        classes: Sequence[str], meaning: str, keyed_by: str = "example", keys: Sequence[str] = (),
        prompt_hash: str | None = None,
    ) -> None:  # fmt: skip
        header = Manifest(
            kind="scores", teacher=teacher, teacher_fingerprint=teacher_fingerprint, prompt_hash=prompt_hash,
            dataset_fingerprint=dataset_fingerprint, meaning=meaning, keyed_by=keyed_by, rows=rows,
            width=len(classes), dtype="float16", extra={"classes": list(classes), "keys": list(keys)},
        )  # fmt: skip
        super().__init__(path, header, _layout(header).itemsize)

    def add(self, rows: npt.NDArray[np.int64], scores: Scores) -> None:
        """Record some examples, those without an answer too.

        Raises:
            KnowledgeError: A row is outside the store or was written before, or a number is not finite.
        """
        wanted = (len(rows), self.header.width), (len(rows), len(self.header.extra["keys"]))
        if (scores.logits.shape, scores.keys.shape) != wanted:
            raise KnowledgeError(
                f"logits and keys of shape {scores.logits.shape} and {scores.keys.shape}, wanted are "
                f"{wanted[0]} and {wanted[1]}",
                where=self.path,
            )
        if not (np.isfinite(scores.logits).all() and np.isfinite(scores.confidence).all()):
            raise KnowledgeError("a logit or confidence is not finite", where=self.path)
        records = np.zeros(len(rows), dtype=_layout(self.header))
        records["logits"] = np.clip(scores.logits, -65504, 65504)
        records["confidence"], records["keys"] = scores.confidence, scores.keys
        self.add_records(np.asarray(rows, dtype=np.int64), records.view(np.uint8).reshape(len(rows), -1))

    def seal(self, **extra: Any) -> ScoresStore:
        """Finish the store; ``extra`` goes into its manifest."""
        self.seal_records(extra)
        return ScoresStore.open(self.path, verify=False)


class ScoresStore(RecordsStore):
    """Sealed scores, memory-mapped."""

    kind: ClassVar[Kind] = "scores"

    @staticmethod
    def record_width(manifest: Manifest) -> int:
        return _layout(manifest).itemsize

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of what has a logit each."""
        return tuple(self.manifest.extra["classes"])

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the columns of :attr:`Scores.keys`."""
        return tuple(self.manifest.extra["keys"])

    def read(self, rows: npt.ArrayLike) -> Scores:
        """Some examples; a row never written has logits, keys and confidence 0.

        Raises:
            KnowledgeError: A row is outside the store.
        """
        index = np.asarray(rows, dtype=np.int64)
        found = np.ascontiguousarray(self.records(index)).view(_layout(self.manifest)).reshape(len(index))
        return Scores(
            found["logits"].astype(np.float32), found["confidence"].astype(np.float32), found["keys"].astype(np.int32)
        )


def _layout(manifest: Manifest) -> np.dtype[np.void]:
    """One row: keys, then a number for each class, then the confidence."""
    classes, keys = manifest.extra.get("classes"), manifest.extra.get("keys")
    if not isinstance(classes, list) or not isinstance(keys, list) or len(classes) != manifest.width:
        raise KnowledgeError("broken manifest: classes or keys of scores", hint="teach again")
    fields = [("keys", "<i4", (len(keys),)), ("logits", "<f2", (len(classes),)), ("confidence", "<f2")]
    return np.dtype(fields)
