"""Embedding hint: vectors of the student learn to map onto the teacher's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ..data.dataset import Split
from ..knowledge import Knowledge
from ..models.neural import NeuralModel
from ..models.text import whiten
from .vectors import Floats, Of, Pairs, VectorsConfig, VectorsObjective

__all__ = ["EmbeddingHint", "EmbeddingHintLoss"]


class EmbeddingHint(VectorsConfig):
    """``1 − cos(P v, e)``, or ``|P v − e|²`` per component, mean over the items or users of a step.

    ``v`` are the student's item vectors, or its states at the ends of histories; ``e`` is what the teacher has in their
    place; ``P`` is a linear map, one for items and one for users, trained along and dropped afterwards. FitNets (Romero
    et al. 2015, https://arxiv.org/abs/1412.6550) with these vectors as the hinted layer. With ``of: users`` and a
    teacher that embeds users' profiles, the student reconstructs the profile from the history, as an auxiliary task
    (Severin et al. 2026, https://arxiv.org/abs/2604.21536; their settings were not confirmed).

    Embeddings by an encoder are whitened, a recommender's own vectors keep their shape. Items are drawn uniformly over
    the catalogue, so that cold ones learn their place too.
    """

    name: ClassVar[str] = "embedding-hint"

    of: Of = Field("items", description="vectors of items, of users, or both")
    items: int = Field(1024, ge=2, description="items compared in a step at most")
    draw: Literal["catalogue", "batch"] = Field(
        "catalogue", description="items: uniformly from the catalogue, or half of them from the labels of the step"
    )
    loss: Literal["cosine", "mse"] = "cosine"
    dim: int = Field(128, ge=1, description="principal components of an encoder's embeddings that are compared")

    def build(self) -> EmbeddingHintLoss:
        return EmbeddingHintLoss(self)


class EmbeddingHintLoss(VectorsObjective):
    """The term described by :class:`EmbeddingHint`."""

    config: EmbeddingHint

    def vectors(self, split: Split, knowledge: Knowledge) -> dict[str, Floats]:
        sides = super().vectors(split, knowledge)
        if self._recommends(knowledge):
            return sides
        return {name: _white(vectors, self.config.dim) for name, vectors in sides.items()}

    def _recommends(self, knowledge: Knowledge) -> bool:
        """Whether the vectors are of a recommender, which leaves its weights too."""
        side, about = "item" if self.config.of == "items" else "user", [s.manifest for s in knowledge.stores]
        embedded = {one.teacher for one in about if one.kind == "embeddings" and one.keyed_by == side}
        recommenders = {one.teacher for one in about if one.kind == "weights"}
        whose = {self.config.teacher} if self.config.teacher else embedded or recommenders  # one: others were refused
        return bool(whose & recommenders)

    def add_parameters(self, model: NeuralModel, widths: Mapping[str, int]) -> None:
        self.project = nn.ModuleDict({name: nn.Linear(model.dim, n, bias=False) for name, n in widths.items()})

    def compared(self, sides: Mapping[str, Pairs]) -> Tensor:
        return torch.stack([self._apart(self.project[name], pairs) for name, pairs in sides.items()]).mean()

    def _apart(self, project: nn.Module, pairs: Pairs) -> Tensor:
        mapped = project(pairs.student)
        if self.config.loss == "mse":
            return functional.mse_loss(mapped, pairs.teacher)
        return 1 - functional.cosine_similarity(mapped, pairs.teacher, dim=1).mean()


def _white(vectors: Floats, dim: int) -> Floats:
    """Whitened, rows of zeros left out of account."""
    known = vectors.any(axis=1)
    found = whiten(vectors[known], dim)
    out = np.zeros((len(vectors), found.shape[1]), dtype=np.float32)
    out[known] = found
    return out
