"""Recurrent network over the history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ..data.dataset import Split
from .dropout import Dropout
from .neural import NeuralConfig, NeuralModel
from .text import TextFusion, item_text

if TYPE_CHECKING:
    from ..knowledge import Knowledge

__all__ = ["GRU4Rec", "GRU4RecModel"]


class GRU4Rec(NeuralConfig):
    """Gated recurrent units over the history (Hidasi et al. 2016, https://arxiv.org/abs/1511.06939).

    Item vectors are tied between input and output. With a softmax over the whole catalogue it is close to newer
    networks (Petrov and Macdonald 2022, https://arxiv.org/abs/2207.02808).
    """

    name: ClassVar[str] = "gru4rec"

    dim: int = Field(64, ge=1, description="width of item vectors and hidden states")
    layers: int = Field(1, ge=1, description="recurrent layers")
    max_length: int = Field(50, ge=1, description="longest history read, in events")
    dropout: float = Field(0.2, ge=0, lt=1, description="of the input vectors and between layers")
    text: str | None = Field(
        None, description="teacher whose item embeddings go inside; 'all' joins those of every teacher"
    )

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> GRU4RecModel:
        vectors = item_text(knowledge, self.text) if self.text else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return GRU4RecModel(self, split.n_items, split.n_users, vectors)

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> GRU4RecModel:
        vectors = tensors.get("fusion.vectors")
        model = GRU4RecModel(self, n_items, n_users, None if vectors is None else np.asarray(vectors))
        model.load_tensors(tensors)
        return model


class GRU4RecModel(NeuralModel):
    """The network of :class:`GRU4Rec`.

    Args:
        vectors: float ``[n_items, any]``, text embeddings that are mapped into the item vectors, or None.
    """

    config: GRU4Rec

    def __init__(self, config: GRU4Rec, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None = None) -> None:
        super().__init__(config, n_items, n_users)
        self.items = nn.Parameter(torch.randn(n_items, config.dim) * config.dim**-0.5)
        self.fusion = None if vectors is None else TextFusion(vectors, config.dim)
        between = config.dropout if config.layers > 1 else 0.0  # torch warns about dropout behind a single layer
        self.gru = nn.GRU(config.dim, config.dim, config.layers, batch_first=True, dropout=between)
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = Dropout(config.dropout)

    @property
    def dim(self) -> int:
        return self.config.dim

    def table(self) -> Tensor:
        return self.items if self.fusion is None else self.items + self.fusion()

    def states(self, users: Tensor, inputs: Tensor, table: Tensor) -> Tensor:
        # padding lies on the right and the network reads from the left, so it can hold any vector
        vectors = functional.embedding(inputs.clamp_max(self.n_items - 1), table)
        return self.run(vectors * self.dim**0.5)

    def run(self, vectors: Tensor) -> Tensor:
        """States from scaled item vectors, float ``[rows, length, dim]``: what a bundle's encoder computes."""
        states, _ = self.gru(self.dropout(vectors))
        return self.norm(states)  # type: ignore[no-any-return]
