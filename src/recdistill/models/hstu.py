"""Gated attention over the history, without a softmax and without a feed-forward layer."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from .dropout import Dropout
from .sequence import AttentionBlock, AttentionConfig, AttentionModel

__all__ = ["HSTU", "HSTUModel"]


class HSTU(AttentionConfig):
    """Hierarchical sequential transduction units (Zhai et al. 2024, https://arxiv.org/abs/2402.17152), with positions.

    A block maps the normalised input to ``U, V, Q, K`` through SiLU; attention is ``A = SiLU(Q Kᵀ + b)`` over the
    events so far, with ``b`` a learned number for each distance and head; no softmax makes the events compete. The
    block adds ``W (norm(A V) ∘ U)`` to its input; there is no feed-forward layer. Times of events, which the paper puts
    into ``b`` beside distances, are not read.

    With ``text``, text embeddings go into the item vectors as in ``sasrec``.
    """

    name: ClassVar[str] = "hstu"

    def network(self, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None) -> HSTUModel:
        return HSTUModel(self, n_items, n_users, vectors)


class HSTUModel(AttentionModel):
    """The network of :class:`HSTU`."""

    config: HSTU

    def block(self) -> AttentionBlock:
        return _Block(self.config)


class _Block(AttentionBlock):
    """Gated attention with a residual."""

    def __init__(self, config: HSTU) -> None:
        super().__init__()
        inner = config.heads * config.width
        self.width = config.width
        self.norm_input = nn.LayerNorm(config.dim)
        self.uvqk: nn.Module = nn.Linear(config.dim, 4 * inner)
        self.near = nn.Parameter(torch.randn(config.heads, config.max_length) * 0.02)
        self.norm_mixed = nn.LayerNorm(inner)
        self.out: nn.Module = nn.Linear(inner, config.dim)
        self.dropout = Dropout(config.dropout)

    @property
    def projection(self) -> nn.Module:
        return self.uvqk

    def queries_keys_values(self, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        _, v, q, k = functional.silu(projected).chunk(4, dim=-1)
        return q, k, v

    def forward(self, x: Tensor) -> Tensor:
        rows, length, _ = x.shape
        place = torch.arange(length, device=x.device)
        distance = place[:, None] - place  # below 0 for later events
        gate, *parts = functional.silu(self.uvqk(self.norm_input(x))).chunk(4, dim=-1)
        v, q, k = (part.view(rows, length, -1, self.width).transpose(1, 2) for part in parts)
        logits = q @ k.transpose(-1, -2) + self.near[:, distance.clamp_min(0)]
        attention = functional.silu(logits).masked_fill(distance < 0, 0.0)
        mixed = (attention @ v).transpose(1, 2).reshape(rows, length, -1)
        added: Tensor = self.out(self.dropout(self.norm_mixed(mixed) * gate))
        return x + added
