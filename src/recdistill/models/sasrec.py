"""Self-attentive sequential recommendation, all positions at once, optionally with text embeddings inside."""

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

__all__ = ["SASRec", "SASRecModel"]


class SASRec(NeuralConfig):
    """Self-attention over the history (Kang and McAuley 2018, https://arxiv.org/abs/1808.09781).

    Trained with full or sampled softmax over all positions at once, which matters more than the architecture
    (Petrov and Macdonald 2023, https://arxiv.org/abs/2308.07192). Pre-norm blocks, tied item vectors.

    With ``text`` it becomes LLM-enhanced: each item vector is the sum of a free vector and a learned linear map of its
    text embedding (cf. AlphaRec, https://arxiv.org/abs/2407.05441), so items with few events still lie well.
    """

    name: ClassVar[str] = "sasrec"

    dim: int = Field(64, ge=1, description="width of item vectors and hidden states")
    blocks: int = Field(2, ge=0, description="attention blocks")
    heads: int = Field(2, ge=1, description="attention heads; must divide dim")
    feed_forward: int = Field(4, ge=1, description="width of the feed-forward layer, as a multiple of dim")
    max_length: int = Field(50, ge=1, description="longest history read, in events")
    dropout: float = Field(0.2, ge=0, lt=1)
    embedding_dropout: float | None = Field(
        None, ge=0, lt=1, description="of the input vectors; None: the same as dropout"
    )
    text: str | None = Field(
        None, description="teacher whose item embeddings go inside; 'all' joins those of every teacher"
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> SASRec:
        if self.dim % self.heads:
            raise ConfigError(f"heads={self.heads} does not divide dim={self.dim}", key=("heads",))
        return self

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> SASRecModel:
        vectors = item_text(knowledge, self.text) if self.text else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return SASRecModel(self, split.n_items, split.n_users, vectors)

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> SASRecModel:
        vectors = tensors.get("fusion.vectors")
        model = SASRecModel(self, n_items, n_users, None if vectors is None else np.asarray(vectors))
        model.load_tensors(tensors)
        return model


class SASRecModel(NeuralModel):
    """The network of :class:`SASRec`.

    Args:
        vectors: float ``[n_items, any]``, text embeddings for LLM-enhanced SASRec, or None.
    """

    config: SASRec

    def __init__(self, config: SASRec, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None = None) -> None:
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
        x = self.dropout(vectors + self.place[: vectors.shape[1]])
        for block in self.blocks:
            x = block(x)
        return self.norm(x)  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Pre-norm causal attention and feed-forward, each with a residual."""

    def __init__(self, config: SASRec) -> None:
        super().__init__()
        self.heads, self.rate = config.heads, config.dropout
        self.norm_attention = nn.LayerNorm(config.dim)
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.norm_feed = nn.LayerNorm(config.dim)
        self.up = nn.Linear(config.dim, config.feed_forward * config.dim)
        self.down = nn.Linear(config.feed_forward * config.dim, config.dim)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, dim = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(rows, length, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(rows, length, dim)))
        fed: Tensor = self.dropout(self.down(self.dropout(functional.gelu(self.up(self.norm_feed(x))))))
        return x + fed
