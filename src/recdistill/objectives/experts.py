"""Experts that map a student's vectors to a teacher's, and a choice among them that learns."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .lists.scene import gumbel

__all__ = ["Experts"]


class Experts(nn.Module):
    """``Σ_e z_e f_e(s)``, ``z = softmax((log softmax(W t) + g) / T)`` with Gumbel noise ``g``.

    Each expert ``f_e`` has one hidden layer, half as wide as both vectors together. The lower the temperature, the more
    a single expert is chosen; its choice is by the teacher's vector ``t``, so what is alike there shares an expert.
    Kang et al. 2020, https://arxiv.org/abs/2012.04357.

    Args:
        dim: Width of the student's vectors.
        width: Width of the teacher's.
        n: Number of experts.
    """

    def __init__(self, dim: int, width: int, n: int) -> None:
        super().__init__()
        hidden = (dim + width) // 2
        self.choose = nn.Linear(width, n)
        self.first = nn.Parameter(torch.randn(dim, n * hidden) * dim**-0.5)
        self.first_bias = nn.Parameter(torch.zeros(n * hidden))
        self.second = nn.Parameter(torch.randn(n * hidden, width) * hidden**-0.5)
        self.second_bias = nn.Parameter(torch.zeros(n, width))

    def forward(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """float ``[m, dim]`` and ``[m, width]`` to ``[m, width]``; random while training."""
        chances = functional.log_softmax(self.choose(teacher), dim=1)
        chosen = torch.softmax((chances + gumbel(chances.shape, chances.device)) / temperature, dim=1)
        hidden = torch.relu(student @ self.first + self.first_bias).view(len(student), chances.shape[1], -1)
        return (hidden * chosen[:, :, None]).flatten(1) @ self.second + chosen @ self.second_bias

    @torch.no_grad()
    def groups(self, teacher: Tensor) -> Tensor:
        """The likeliest expert of each, without noise: int64 ``[m]``."""
        best: Tensor = self.choose(teacher).argmax(dim=1)
        return best
