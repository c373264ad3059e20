"""Gated attention over the history, without a softmax and without a feed-forward layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from ..data.dataset import Split
from ..errors import ConfigError
from .dropout import Dropout
from .neural import NeuralConfig, NeuralModel
from .text import TextFusion, item_text

if TYPE_CHECKING:
    from ..knowledge import Knowledge

__all__ = ["HSTU", "HSTUModel"]


class HSTU(NeuralConfig):
    """Hierarchical sequential transduction units (Zhai et al. 2024, https://arxiv.org/abs/2402.17152), with positions.

    A block maps the normalised input to ``U, V, Q, K`` through SiLU; attention is ``A = SiLU(Q Kᵀ + b)`` over the
    events so far, with ``b`` a learned number for each distance and head; no softmax makes the events compete. The
    block adds ``W (norm(A V) ∘ U)`` to its input; there is no feed-forward layer. Times of events, which the paper puts
    into ``b`` beside distances, are not read.

    With ``text``, text embeddings go into the item vectors as in ``sasrec``.
    """

    name: ClassVar[str] = "hstu"

    dim: int = Field(64, ge=1, description="width of item vectors and hidden states")
    blocks: int = Field(2, ge=0, description="gated attention blocks")
    heads: int = Field(2, ge=1, description="attention heads; must divide dim")
    max_length: int = Field(50, ge=1, description="longest history read, in events")
    dropout: float = Field(0.2, ge=0, lt=1)
    embedding_dropout: float | None = Field(
        None, ge=0, lt=1, description="of the input vectors; None: the same as dropout"
    )
    text: str | None = Field(
        None, description="teacher whose item embeddings go inside; 'all' joins those of every teacher"
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> HSTU:
        if self.dim % self.heads:
            raise ConfigError(f"heads={self.heads} does not divide dim={self.dim}", key=("heads",))
        return self

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> HSTUModel:
        vectors = item_text(knowledge, self.text) if self.text else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return HSTUModel(self, split.n_items, split.n_users, vectors)

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> HSTUModel:
        vectors = tensors.get("fusion.vectors")
        model = HSTUModel(self, n_items, n_users, None if vectors is None else np.asarray(vectors))
        model.load_tensors(tensors)
        return model


class HSTUModel(NeuralModel):
    """The network of :class:`HSTU`.

    Args:
        vectors: float ``[n_items, any]``, text embeddings that are mapped into the item vectors, or None.
    """

    config: HSTU

    def __init__(self, config: HSTU, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None = None) -> None:
        super().__init__(config, n_items, n_users)
        self.items = nn.Parameter(torch.randn(n_items, config.dim) * config.dim**-0.5)
        self.place = nn.Parameter(torch.randn(config.max_length, config.dim) * 0.02)
        self.fusion = None if vectors is None else TextFusion(vectors, config.dim)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.dim)
        rate = config.dropout if config.embedding_dropout is None else config.embedding_dropout
        self.dropout = Dropout(rate)

    @property
    def dim(self) -> int:
        return self.config.dim

    def table(self) -> Tensor:
        return self.items if self.fusion is None else self.items + self.fusion()

    def states(self, users: Tensor, inputs: Tensor, table: Tensor) -> Tensor:
        # padding lies on the right and attention is causal, so it can hold any vector: no state before it looks there
        vectors = functional.embedding(inputs.clamp_max(self.n_items - 1), table)
        return self.run(vectors * self.dim**0.5)

    def run(self, vectors: Tensor) -> Tensor:
        """States from scaled item vectors, float ``[rows, length, dim]`` both; what a bundle's encoder computes."""
        length = vectors.shape[1]
        x = self.dropout(vectors + self.place[:length])
        place = torch.arange(length, device=x.device)
        distance = place[:, None] - place
        for block in self.blocks:
            x = block(x, distance)
        return self.norm(x)  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Gated attention with a residual."""

    def __init__(self, config: HSTU) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm_input = nn.LayerNorm(config.dim)
        self.uvqk = nn.Linear(config.dim, 4 * config.dim)
        self.near = nn.Parameter(torch.randn(config.heads, config.max_length) * 0.02)
        self.norm_mixed = nn.LayerNorm(config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, distance: Tensor) -> Tensor:
        """``x`` float ``[rows, length, dim]``; ``distance`` int64 ``[length, length]``, below 0 for later events."""
        rows, length, dim = x.shape
        gate, *parts = functional.silu(self.uvqk(self.norm_input(x))).chunk(4, dim=-1)
        v, q, k = (part.view(rows, length, self.heads, dim // self.heads).transpose(1, 2) for part in parts)
        logits = q @ k.transpose(-1, -2) + self.near[:, distance.clamp_min(0)]
        attention = functional.silu(logits).masked_fill(distance < 0, 0.0)
        mixed = (attention @ v).transpose(1, 2).reshape(rows, length, dim)
        added: Tensor = self.out(self.dropout(self.norm_mixed(mixed) * gate))
        return x + added
