"""Start from the teacher's weights: item vectors reduced to the student's width."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from ..data.dataset import Split
from ..errors import KnowledgeError
from ..knowledge import Knowledge
from ..models.neural import NeuralModel
from ..models.text import whiten
from .base import Objective, ObjectiveConfig, the_only
from .vectors import tensor_of

__all__ = ["StartFrom", "StartFromTeacher"]


class StartFrom(ObjectiveConfig):
    """The student's free item vectors begin as the best approximation of the teacher's in the student's width.

    From ``weights``: the leading singular directions of the teacher's item vectors, which keep most of its dot products
    (Eckart and Young 1936). From ``embeddings``: the leading principal components, whitened, of an encoder's item
    embeddings; an item without one keeps its initial vector. Both are scaled to the spread the student's own initial
    vectors have. There is no loss; ``weight`` blends: 1 replaces the initial vectors, 0.5 takes half of each.
    """

    name: ClassVar[str] = "start-from"

    teacher: str | None = Field(None, description="whose knowledge; needed only if several teachers left some")
    kind: Literal["weights", "embeddings"] = "weights"
    tensor: str = Field("items", description="name of the item vectors among the teacher's weights")

    @property
    def reads(self) -> tuple[str, ...]:
        return ("weights",) if self.kind == "weights" else ("item embeddings",)

    def build(self) -> StartFromTeacher:
        return StartFromTeacher(self)


class StartFromTeacher(Objective):
    """The start described by :class:`StartFrom`."""

    config: StartFrom

    @torch.no_grad()
    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        items = dict(model.named_parameters()).get("items")
        if items is None:
            raise KnowledgeError(f"{type(model).__name__} has no free item vectors to start from a teacher")
        theirs = self._vectors(split, knowledge)
        if len(theirs) != len(items):
            raise KnowledgeError(f"the teacher has vectors for {len(theirs)} items, the student needs {len(items)}")
        known, dim = torch.ones(len(items), dtype=torch.bool, device=items.device), items.shape[1]
        if self.config.kind == "embeddings":
            there = theirs.any(axis=1)
            known, theirs = torch.from_numpy(there).to(items.device), whiten(theirs[there], dim)
        start, weight = leading(theirs, dim), min(self.config.weight.at(self.config.weight.warmup), 1.0)
        scaled = torch.from_numpy(start).to(items) * (items.std() / max(float(start.std()), 1e-12))
        items[known] = items[known] * (1 - weight) + scaled * weight

    def _vectors(self, split: Split, knowledge: Knowledge) -> npt.NDArray[Any]:
        teacher = self.config.teacher
        if self.config.kind == "embeddings":
            return the_only(knowledge.embeddings(teacher), split.dataset.items.fingerprint).all()
        return tensor_of(the_only(knowledge.weights(teacher), split.fingerprint), self.config.tensor)


def leading(vectors: npt.NDArray[Any], dim: int) -> npt.NDArray[np.float32]:
    """Coordinates along the leading right singular directions: float32 ``[n, dim]``, zeros where there are fewer."""
    exact = np.asarray(vectors, dtype=np.float64)
    values, basis = np.linalg.eigh(exact.T @ exact)
    order = np.argsort(values)[::-1][:dim]
    out = np.zeros((len(exact), dim), dtype=np.float32)
    out[:, : len(order)] = exact @ basis[:, order]
    return out
