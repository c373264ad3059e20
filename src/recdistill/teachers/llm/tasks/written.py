"""What tasks share whose answers are texts."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ....knowledge import TextsWriter
from ..exchange import Reply
from .base import Answers, Job, Place, batched

__all__ = ["WrittenJob"]


class WrittenJob(Job):
    """Questions whose answers are kept as texts, one for each row that is asked about.

    Attributes:
        rows: int64 ``[n]``, items or users, ascending.
        total: Items or users there are.
        of: Fingerprint of what they are.
    """

    keyed_by: ClassVar[str]
    form: ClassVar[Literal["text", "json"]]
    meaning: str
    rows: npt.NDArray[np.int64]
    total: int
    of: str

    def __len__(self) -> int:
        return len(self.rows)

    @abstractmethod
    def text(self, reply: Reply) -> str | None:
        """What is kept of an answer; None if it cannot be used."""

    def readable(self, number: int, reply: Reply) -> bool:
        return self.text(reply) is not None

    def write(self, answers: Answers, place: Place) -> dict[str, Any]:
        written = 0
        with TextsWriter(
            Path(place.path) / "texts", teacher=place.teacher, teacher_fingerprint=place.fingerprint,
            dataset_fingerprint=self.of, rows=self.total, keyed_by=self.keyed_by, meaning=self.meaning, form=self.form,
            prompt_hash=self.prompt.digest,
        ) as writer:  # fmt: skip
            if not writer.sealed:
                for batch in batched(answers, 4096):
                    texts = [None if reply is None else self.text(reply) for _, reply in batch]
                    written += sum(text is not None for text in texts)
                    rows = [int(self.rows[number]) for number, _ in batch]
                    writer.add(rows, texts, [float(text is not None) for text in texts])
            store = writer.seal(answers=written)
        return {f"{self.keyed_by}s": len(self.rows), "texts": store.manifest.extra["answers"]}
