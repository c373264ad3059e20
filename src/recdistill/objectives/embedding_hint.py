"""Embedding hint: item vectors of the student learn to map onto the teacher's embeddings."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ..data.dataset import Split
from ..knowledge import Knowledge
from ..models.neural import NeuralModel
from ..models.text import whiten
from .base import FeatureObjective, Features, ObjectiveConfig, the_only

__all__ = ["EmbeddingHint", "EmbeddingHintLoss"]


class EmbeddingHint(ObjectiveConfig):
    """``1 − cos(P v_i, e_i)``, or ``|P v_i − e_i|²`` per component, mean over the items of a step.

    ``v`` are the student's item vectors, ``e`` the teacher's whitened item embeddings, ``P`` a linear map trained along
    and dropped afterwards. Items are drawn uniformly over the catalogue, so that cold items learn their place too.
    FitNets (Romero et al. 2015, https://arxiv.org/abs/1412.6550) with item vectors as the hinted layer.
    """

    name: ClassVar[str] = "embedding-hint"

    teacher: str | None = Field(None, description="whose embeddings; needed only if several teachers left some")
    items: int = Field(1024, ge=1, description="items compared in each step")
    loss: Literal["cosine", "mse"] = "cosine"
    dim: int = Field(128, ge=1, description="principal components of the teacher's embeddings that are compared")

    def build(self) -> EmbeddingHintLoss:
        return EmbeddingHintLoss(self)


class EmbeddingHintLoss(FeatureObjective):
    """The term described by :class:`EmbeddingHint`."""

    config: EmbeddingHint
    vectors: Tensor

    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        store = the_only(knowledge.embeddings(self.config.teacher), split.dataset.items.fingerprint)
        wanted = whiten(store.all(), self.config.dim)
        scale = wanted.shape[1] ** 0.5  # unit variance, so that the squared error of a zero map is 1 per component
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.project = nn.Linear(model.dim, wanted.shape[1], bias=False)
        self.register_buffer("vectors", torch.from_numpy(wanted * scale), persistent=False)
        self.to(next(model.parameters()).device)

    def loss(self, features: Features) -> Tensor:
        n = min(self.config.items, len(self.vectors))
        items = torch.randint(len(self.vectors), (n,), device=features.table.device)
        mapped, wanted = self.project(features.table[items]), self.vectors[items]
        if self.config.loss == "mse":
            return functional.mse_loss(mapped, wanted)
        return 1 - functional.cosine_similarity(mapped, wanted, dim=1).mean()
