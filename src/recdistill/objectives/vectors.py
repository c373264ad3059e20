"""What all terms share that compare vectors of users and items: where the teacher's come from, which are compared."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from ..data.dataset import Split
from ..errors import KnowledgeError, nearest
from ..knowledge import EmbeddingsStore, Knowledge, WeightsStore
from ..models.neural import NeuralModel
from .base import FeatureObjective, Features, ObjectiveConfig, the_only

__all__ = ["Pairs", "VectorsConfig", "VectorsObjective", "in_one_space", "item_vectors", "tensor_of", "user_vectors"]

Floats = npt.NDArray[np.float32]
Of = Literal["items", "users", "both"]


class VectorsConfig(ObjectiveConfig):
    """Parameters of a term that compares the student's vectors with a teacher's.

    Vectors of items are the item embeddings that the teacher left, or else its own item vectors. Vectors of users are
    its states at the ends of histories, with which the student's states there are compared.
    """

    teacher: str | None = Field(None, description="whose vectors; needed only if several teachers left some")
    of: Of = Field("both", description="vectors of items, of users, or both")
    items: int = Field(512, ge=2, description="items compared in a step at most")
    users: int = Field(512, ge=2, description="users compared in a step at most")
    draw: Literal["catalogue", "batch"] = Field(
        "batch", description="items: uniformly from the catalogue, or half of them from the labels of the step"
    )

    @property
    def reads(self) -> tuple[str, ...]:
        return ("item embeddings", "weights") if self.of == "items" else ("user embeddings",)


@dataclass(frozen=True, slots=True)
class Pairs:
    """The same things as two models see them.

    Attributes:
        student: float ``[m, dim]``.
        teacher: float ``[m, width]``.
    """

    student: Tensor
    teacher: Tensor


class VectorsObjective(FeatureObjective):
    """A term about vectors of users, of items, or of both.

    The teacher's are divided by one number, so that the mean square of their components is 1: that of users and that of
    items, on average.
    """

    config: VectorsConfig
    items: Tensor
    users: Tensor

    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        device, of = next(model.parameters()).device, self.config.of
        sides = self.vectors(split, knowledge)
        squares = [np.square(v[v.any(axis=1)], dtype=np.float64).mean() for v in sides.values() if v.any()]
        scale = np.sqrt(np.mean(squares)) if squares else 1.0
        for name, vectors in sides.items():
            self.register_buffer(name + "s", torch.from_numpy((vectors / scale).astype(np.float32)), persistent=False)
        self.first_end, self.at_ends = split.train.n_events, of != "items"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.add_parameters(model, {name: vectors.shape[1] for name, vectors in sides.items()})
        self.to(device)

    def vectors(self, split: Split, knowledge: Knowledge) -> dict[str, Floats]:
        """The teacher's vectors by side, ``user`` and ``item``: float ``[n, width]``, zeros where it has none."""
        teacher, sides = self.config.teacher, {}
        if self.config.of != "items":
            store = user_vectors(knowledge, split, teacher)
            teacher, sides["user"] = store.manifest.teacher, store.all()
        if self.config.of != "users":
            sides["item"] = item_vectors(knowledge, split, teacher)
        return sides

    def add_parameters(self, model: NeuralModel, widths: Mapping[str, int]) -> None:
        """Add what is trained along and dropped afterwards, given the width of the teacher's vectors by side."""

    def loss(self, features: Features) -> Tensor:
        sides = self.drawn(features)
        if not sides:  # no history ends in this step, or the teacher has nothing about what was drawn
            return features.hidden.sum() * 0.0
        return self.compared(sides)

    @abstractmethod
    def compared(self, sides: Mapping[str, Pairs]) -> Tensor:
        """A scalar from what was drawn, by side; a side of which the step has fewer than two is not there."""

    def drawn(self, features: Features) -> dict[str, Pairs]:
        """Some users and items of a step; those of which the teacher has no vector have nothing to be compared with."""
        sides = {}
        if self.config.of != "items":
            place = torch.nonzero(features.batch.positions >= self.first_end)[:, 0]
            rows = features.batch.positions[place] - self.first_end
            chosen = torch.randperm(len(rows), device=rows.device)[: self.config.users]
            chosen = chosen[self.users[rows[chosen]].any(dim=1)]
            sides["user"] = Pairs(features.hidden[place[chosen]].float(), self.users[rows[chosen]])
        if self.config.of != "users":
            items = self._items(features)
            items = items[self.items[items].any(dim=1)]
            sides["item"] = Pairs(features.table[items].float(), self.items[items])
        return {name: pairs for name, pairs in sides.items() if len(pairs.student) > 1}

    def _items(self, features: Features) -> Tensor:
        """Items, each once: int64 ``[at most n]``."""
        total, n, device = len(self.items), min(self.config.items, len(self.items)), features.table.device
        if self.config.draw == "catalogue":
            return torch.randperm(total, device=device)[:n]
        labels = features.batch.labels[features.batch.labels >= 0]
        known = labels[torch.randint(len(labels), (n - n // 2,), device=device)] if len(labels) else labels
        drawn: Tensor = torch.unique(torch.cat([known, torch.randint(total, (n // 2,), device=device)]))
        return drawn


def in_one_space(sides: Mapping[str, Pairs]) -> None:
    """See that the teacher's users and items can be compared with each other.

    Raises:
        KnowledgeError: They are of different widths: an encoder's items, say, and a recommender's users.
    """
    widths = {name: pairs.teacher.shape[1] for name, pairs in sides.items()}
    if len(set(widths.values())) > 1:
        told = " and ".join(f"{width} numbers for each {name}" for name, width in widths.items())
        hint = "compare one of the two: of: items, or of: users"
        raise KnowledgeError(f"the teacher left {told}, which lie in no one space", hint=hint)


def user_vectors(knowledge: Knowledge, split: Split, teacher: str | None) -> EmbeddingsStore:
    """What a teacher left about users, row by row of the training events.

    Raises:
        KnowledgeError: None did, or it is about other data.
        ConfigError: Several did, and none is named.
    """
    return the_only(knowledge.embeddings(teacher, keyed_by="user"), split.fingerprint)


def item_vectors(knowledge: Knowledge, split: Split, teacher: str | None) -> Floats:
    """Item embeddings that a teacher left, or else its own item vectors: float32 ``[n_items, width]``.

    Raises:
        KnowledgeError: There are neither, or they are about other data.
        ConfigError: Several teachers left some, and none is named.
    """
    ours = [store for store in knowledge.stores if teacher in (None, store.manifest.teacher)]
    embedded = tuple(s for s in ours if isinstance(s, EmbeddingsStore) and s.manifest.keyed_by == "item")
    if embedded or not any(isinstance(store, WeightsStore) for store in ours):
        found = embedded or knowledge.embeddings(teacher)  # which says what there is instead
        return the_only(found, split.dataset.items.fingerprint).all()
    return tensor_of(the_only(knowledge.weights(teacher), split.fingerprint), "items").astype(np.float32)


def tensor_of(store: WeightsStore, name: str) -> npt.NDArray[Any]:
    """One of a teacher's tensors.

    Raises:
        KnowledgeError: There is none of that name.
    """
    tensors = store.tensors()
    if name not in tensors:
        raise KnowledgeError(f"no tensor {name!r} among the weights", where=store.path, hint=nearest(name, tensors))
    return np.asarray(tensors[name])
