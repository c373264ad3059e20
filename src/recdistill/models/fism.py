"""Factored item similarity with recency: the smallest student that knows the order of a history."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from .dropout import dropout
from .neural import NeuralModel
from .sequence import SequenceConfig

__all__ = ["FISM", "FISMModel"]


class FISM(SequenceConfig):
    """Low-rank item-to-item model over a history (FISM, Kabbur et al. 2013, https://doi.org/10.1145/2487575.2487589),
    with older events fading.

    The state behind event ``t`` is ``Σ_{s ≤ t} a_ts p_s`` with ``a_ts ∝ (t − s + 1)^−g``, weights scaled to unit
    length and ``g`` learned; the score of item ``j`` is its dot product with ``q_j``, plus a bias. ``p`` and ``q`` are
    two free vectors per item: what an item says about the next is not how it is reached. A large item-to-item teacher
    fits into it at a small rank, and serving is a weighted sum: no network runs.

    With ``text``, a learned linear map of its text embedding, one for ``p`` and one for ``q``, is added to both. With
    ``fusion: null-space``, ``q`` is made as in ``sasrec``.
    """

    name: ClassVar[str] = "fism"

    dim: int = Field(48, ge=1, description="width of the vectors: the rank of the item-to-item map")
    dropout: float = Field(0.2, ge=0, lt=1, description="of history vectors and of states")
    fading: float = Field(0.6, ge=0, description="initial g")

    def network(self, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None) -> FISMModel:
        return FISMModel(self, n_items, n_users, vectors)


class FISMModel(NeuralModel):
    """The vectors of :class:`FISM`.

    Args:
        config: Its parameters.
        n_items: Catalogue size.
        n_users: Number of users.
        vectors: float ``[n_items, any]``, text embeddings, or None.
    """

    config: FISM

    def __init__(self, config: FISM, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None = None) -> None:
        super().__init__(config, n_items, n_users)
        self.items = nn.Parameter(torch.randn(n_items, config.dim) * 0.02)
        self.seen = nn.Parameter(torch.randn(n_items, config.dim) * 0.05)
        self.item_biases = nn.Parameter(torch.zeros(n_items))
        self.fading = nn.Parameter(torch.tensor([config.fading]))
        self.scale = nn.Parameter(torch.ones(1))
        self.items, self.fusion = config.fused(self.items, vectors)
        width = None if self.fusion is None else self.fusion.vectors.shape[1]
        self.seen_map = None if width is None else nn.Linear(width, config.dim, bias=False)

    @property
    def dim(self) -> int:
        return self.config.dim

    def table(self) -> Tensor:
        return self.items if self.fusion is None else self.fusion(self.items)

    def seen_table(self) -> Tensor:
        """What items are as part of a history: float ``[n_items, dim]``."""
        if self.fusion is None or self.seen_map is None:
            return self.seen
        return self.seen + self.seen_map(self.fusion.vectors)  # type: ignore[no-any-return]

    def bias(self) -> Tensor:
        return self.item_biases

    def ages(self, length: int) -> Tensor:
        """Weight of event ``s`` in the state behind event ``t``: float ``[length, length]``, rows of unit length."""
        place = torch.arange(length, device=self.items.device)
        age = (place[:, None] - place + 1).clamp_min(1).float()
        return functional.normalize(torch.tril(torch.exp(-self.fading * age.log())), dim=1)

    def states(self, users: Tensor, inputs: Tensor, table: Tensor) -> Tensor:
        rate, training = self.config.dropout, self.training
        # padding lies on the right, where no state before it looks
        vectors = functional.embedding(inputs.clamp_max(self.n_items - 1), self.seen_table())
        pooled = self.scale * (self.ages(inputs.shape[1]) @ dropout(vectors, rate, training))
        return dropout(pooled, rate, training)
