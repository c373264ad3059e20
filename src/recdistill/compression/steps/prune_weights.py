"""Magnitude pruning of single numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..candidate import Candidate, Workshop
from ..fake import TABLES
from ..surgery import linear_maps
from .base import RecoveringStep

__all__ = ["PruneWeights"]


class PruneWeights(RecoveringStep):
    """The numbers that are smallest for the spread of their matrix become 0 (Han et al. 2015,
    https://arxiv.org/abs/1506.02626).

    Zeros neither save time nor, by themselves, bytes: ``deflate`` after it does. For the entries of an item-to-item
    matrix see ``prune-neighbours``.
    """

    name: ClassVar[str] = "prune-weights"

    amount: float = Field(0.3, ge=0, lt=1, description="share of the numbers")
    vectors: bool = Field(False, description="prune the item vectors too, not only the matrices of the encoder")

    def check(self, candidate: Candidate) -> None:
        candidate.network()

    @torch.no_grad()
    def cut(self, candidate: Candidate, shop: Workshop) -> Candidate:
        model = candidate.network()
        places: list[tuple[Any, str]] = list(linear_maps(model))
        if self.vectors:
            places += [(model, name) for name in TABLES if isinstance(getattr(model, name, None), torch.nn.Parameter)]
        matrices = [getattr(module, name) for module, name in places]
        threshold = _threshold(matrices, self.amount)
        for matrix in matrices:
            matrix[_size(matrix) < threshold] = 0.0
        return replace(candidate, model=model, sparse=candidate.sparse or self.amount > 0)


def _size(matrix: Tensor) -> Tensor:
    """Absolute values by the root mean square of the matrix."""
    return matrix.abs() / matrix.square().mean().sqrt().clamp_min(1e-30)


def _threshold(matrices: list[Tensor], amount: float) -> float:
    """The size below which that share of all numbers lies."""
    sizes = torch.cat([_size(matrix).reshape(-1) for matrix in matrices]).sort().values
    return float(sizes[int(amount * len(sizes))]) if len(sizes) else 0.0
