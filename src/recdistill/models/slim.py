"""Networks that became smaller than their config says: shapes follow the saved tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Factored", "fit_shapes"]


class Factored(nn.Module):
    """A linear map as two thin ones, ``x Aᵀ Bᵀ + b``.

    Args:
        first: float ``[rank, inputs]``, A.
        second: float ``[outputs, rank]``, B.
        bias: float ``[outputs]``.
    """

    def __init__(self, first: Tensor, second: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.first, self.second, self.bias = nn.Parameter(first), nn.Parameter(second), nn.Parameter(bias)

    @property
    def weight(self) -> Tensor:
        """The whole matrix: float ``[outputs, inputs]``."""
        return self.second @ self.first

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(functional.linear(x, self.first), self.second, self.bias)


def fit_shapes(model: nn.Module, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Give a network with initial weights the shapes of saved tensors, so that they can be loaded.

    Matrices and norms of a pruned network are narrower than its config says; linear maps may have become two; optional
    parameters (which are None) may be there.

    Args:
        model: The network of the config.
        tensors: Its state dict, as saved.
    """
    for name, value in tensors.items():
        path, _, leaf = name.rpartition(".")
        if leaf == "first":
            parent, _, child = path.rpartition(".")
            shapes = [tensors[f"{path}.{part}"].shape for part in ("first", "second", "bias")]
            setattr(model.get_submodule(parent), child, Factored(*(torch.zeros(shape) for shape in shapes)))
        if leaf in ("first", "second"):
            continue
        module = model.get_submodule(path)
        there = getattr(module, leaf)
        if there is None or tuple(there.shape) != value.shape:
            setattr(module, leaf, nn.Parameter(torch.zeros(value.shape)))
            if isinstance(module, nn.LayerNorm):
                module.normalized_shape = tuple(value.shape)
