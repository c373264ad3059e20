"""Self-attentive sequential recommendation, all positions at once, optionally with text embeddings inside."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy.typing as npt
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from .dropout import Dropout
from .sequence import AttentionBlock, AttentionConfig, AttentionModel

__all__ = ["SASRec", "SASRecModel"]


class SASRec(AttentionConfig):
    """Self-attention over the history (Kang and McAuley 2018, https://arxiv.org/abs/1808.09781).

    Trained with full or sampled softmax over all positions at once, which matters more than the architecture
    (Petrov and Macdonald 2023, https://arxiv.org/abs/2308.07192). Pre-norm blocks, tied item vectors.

    With ``text`` it becomes LLM-enhanced: each item vector is the sum of a free vector and a learned linear map of its
    text embedding (cf. AlphaRec, https://arxiv.org/abs/2407.05441), so items with few events still lie well. With
    ``fusion: null-space`` no map is learned: the leading components of the text embedding stay as they are, and free
    vectors are added to the following ones (AlphaFuse, Hu et al. 2025, https://arxiv.org/abs/2504.19218, whose code
    keeps half of 128 free).
    """

    name: ClassVar[str] = "sasrec"

    feed_forward: int = Field(4, ge=1, description="width of the feed-forward layer, as a multiple of dim")

    def network(self, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None) -> SASRecModel:
        return SASRecModel(self, n_items, n_users, vectors)


class SASRecModel(AttentionModel):
    """The network of :class:`SASRec`."""

    config: SASRec

    def block(self) -> AttentionBlock:
        return _Block(self.config)


class _Block(AttentionBlock):
    """Pre-norm causal attention and feed-forward, each with a residual."""

    def __init__(self, config: SASRec) -> None:
        super().__init__()
        inner = config.heads * config.width
        self.width = config.width
        self.norm_attention = nn.LayerNorm(config.dim)
        self.qkv: nn.Module = nn.Linear(config.dim, 3 * inner)
        self.out: nn.Module = nn.Linear(inner, config.dim)
        self.norm_feed = nn.LayerNorm(config.dim)
        self.up: nn.Module = nn.Linear(config.dim, config.feed_forward * config.dim)
        self.down: nn.Module = nn.Linear(config.feed_forward * config.dim, config.dim)
        self.dropout = Dropout(config.dropout)

    @property
    def projection(self) -> nn.Module:
        return self.qkv

    def queries_keys_values(self, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = projected.chunk(3, dim=-1)
        return q, k, v

    def forward(self, x: Tensor) -> Tensor:
        rows, length, _ = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(rows, length, 3, -1, self.width)  # as many heads as are left
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(rows, length, -1)))
        fed: Tensor = self.dropout(self.down(self.dropout(functional.gelu(self.up(self.norm_feed(x))))))
        return x + fed
