"""Recurrent network over the history."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy.typing as npt
from pydantic import Field
from torch import Tensor, nn

from .dropout import Dropout
from .sequence import SequenceConfig, SequenceModel

__all__ = ["GRU4Rec", "GRU4RecModel"]


class GRU4Rec(SequenceConfig):
    """Gated recurrent units over the history (Hidasi et al. 2016, https://arxiv.org/abs/1511.06939).

    Item vectors are tied between input and output. With a softmax over the whole catalogue it is close to newer
    networks (Petrov and Macdonald 2022, https://arxiv.org/abs/2207.02808).
    """

    name: ClassVar[str] = "gru4rec"

    layers: int = Field(1, ge=1, description="recurrent layers")
    dropout: float = Field(0.2, ge=0, lt=1, description="of the input vectors and between layers")

    def network(self, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None) -> GRU4RecModel:
        return GRU4RecModel(self, n_items, n_users, vectors)


class GRU4RecModel(SequenceModel):
    """The network of :class:`GRU4Rec`.

    Args:
        vectors: See :class:`~recdistill.models.sequence.SequenceModel`.
    """

    config: GRU4Rec

    def __init__(self, config: GRU4Rec, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None = None) -> None:
        super().__init__(config, n_items, n_users, vectors)
        between = config.dropout if config.layers > 1 else 0.0  # torch warns about dropout behind a single layer
        self.gru = nn.GRU(config.dim, config.dim, config.layers, batch_first=True, dropout=between)
        self.dropout = Dropout(config.dropout)

    def run(self, vectors: Tensor) -> Tensor:
        states, _ = self.gru(self.dropout(vectors))
        return self.norm(states)  # type: ignore[no-any-return]
