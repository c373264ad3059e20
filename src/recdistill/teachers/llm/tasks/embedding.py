"""Vectors of item texts from a model that embeds."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ....data.dataset import Split
from ....errors import TeacherError
from ....knowledge import EmbeddingsWriter, Knowledge
from ..exchange import Capabilities, Reply, Request
from .base import Answers, Place, batched
from .items import ItemJob, ItemTask

__all__ = ["Embedding", "EmbeddingJob"]


class Embedding(ItemTask):
    """The vector of each item's text, from an endpoint that embeds; encoders in this process are other teachers."""

    name: ClassVar[str] = "embedding"

    def job(self, split: Split, knowledge: Knowledge, capabilities: Capabilities) -> EmbeddingJob:
        if not capabilities.embeddings:
            hint = "start it for embeddings, or use a text-encoder"
            raise TeacherError("gives no embeddings", where=capabilities.model, hint=hint)
        return EmbeddingJob(self, split)


class EmbeddingJob(ItemJob):
    """The questions of :class:`Embedding`.

    Args:
        task: Its parameters.
        split: The data.
    """

    label = "embed items"

    def reminder(self, number: int) -> str:
        return ""

    def about(self, text: str) -> Request:
        return Request("embeddings", {"input": [text]})

    def readable(self, number: int, reply: Reply) -> bool:
        return reply.numbers is not None

    def write(self, answers: Answers, place: Place) -> dict[str, Any]:
        path = Path(place.path) / "embeddings"
        rest = iter(answers)
        unanswered: list[tuple[int, Reply | None]] = []
        for first in rest:  # the width is known from the first vector on
            if first[1] is not None and first[1].numbers is not None:
                dim = len(first[1].numbers)
                break
            unanswered.append(first)
        else:
            raise TeacherError("not one item has a vector", where=path)
        writer = EmbeddingsWriter(
            path, teacher=place.teacher, teacher_fingerprint=place.fingerprint, dataset_fingerprint=self.of,
            rows=self.total, dim=dim, meaning="embedding of the item's text by a model at an endpoint",
        )  # fmt: skip
        written = 0
        with writer:
            for batch in batched(chain([first], rest), 4096):
                found = [(number, reply.numbers) for number, reply in batch if reply and reply.numbers is not None]
                if any(len(vector) != dim for _, vector in found):
                    hint = "is it always the same model?"
                    raise TeacherError("gave vectors of several widths", where=path, hint=hint)
                rows = self.rows[[number for number, _ in found]]
                written += len(rows)
                left = ~writer.done[rows]
                if left.any():
                    writer.add(rows[left], np.stack([vector for _, vector in found])[left])
        writer.seal(answers=written)
        return {"items": len(self), "dim": dim, "vectors": written}
