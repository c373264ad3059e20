"""Cutting trained networks: rows and columns of linear maps, heads, feed-forward units, whole blocks."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..models.fism import FISMModel
from ..models.lightgcn import LightGCNModel
from ..models.mf import MF, MFModel
from ..models.neural import NeuralModel
from ..models.sequence import AttentionModel, SequenceModel
from ..models.slim import Factored

__all__ = [
    "bake",
    "keep_columns",
    "keep_heads",
    "keep_rows",
    "keep_units",
    "linear_maps",
    "map_inputs",
    "map_outputs",
    "readers",
    "watched",
    "without_block",
    "writers",
]


@torch.no_grad()
def bake(model: NeuralModel) -> NeuralModel:
    """A copy in which nothing is computed any more that does not depend on the history.

    Text embeddings inside are added to the item vectors they end in; a graph of users and items becomes the vectors it
    gives. The scores are the same.
    """
    model = copy.deepcopy(model).eval()
    if isinstance(model, LightGCNModel):
        config = MF(dim=model.dim, bias=False, dropout=model.config.dropout, fold_in_l2=model.config.fold_in_l2)
        plain = MFModel(config, model.n_items, model.n_users)
        for vectors, final in zip((plain.users, plain.items), model.spread(), strict=True):
            vectors.copy_(final)
        return plain.eval()
    if isinstance(model, FISMModel) and model.fusion is not None:
        model.seen.copy_(model.seen_table())
        model.seen_map = None
    if isinstance(model, FISMModel | SequenceModel) and model.fusion is not None:
        model.items = nn.Parameter(model.table().detach().clone())
        model.fusion = None
    return model


def readers(block: nn.Module) -> list[tuple[nn.LayerNorm, str]]:
    """The norms of a block, each with the name of the linear map that reads it."""
    found = [("norm_attention", "qkv"), ("norm_feed", "up"), ("norm_input", "uvqk")]
    return [(getattr(block, norm), name) for norm, name in found if hasattr(block, norm)]


def writers(block: nn.Module) -> list[nn.Module]:
    """The linear maps of a block whose results are added to the stream."""
    return [getattr(block, name) for name in ("out", "down") if hasattr(block, name)]


def linear_maps(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Every matrix of the linear maps of a network: module and name of the parameter."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            yield module, "weight"
        if isinstance(module, Factored):
            yield module, "first"
            yield module, "second"


def keep_heads(block: nn.Module, heads: Sequence[int]) -> None:
    """Leave some attention heads in a block of SASRec or HSTU, and take the others out."""
    joint = "qkv" if hasattr(block, "qkv") else "uvqk"
    own: Any = block
    inner, width = _columns(own.out), own.width
    units = torch.arange(inner).view(-1, width)[list(heads)].reshape(-1)
    parts = 3 if joint == "qkv" else 4
    keep_rows(getattr(own, joint), torch.cat([units + part * inner for part in range(parts)]))
    keep_columns(own.out, units)
    if joint == "uvqk":
        own.near = nn.Parameter(own.near.detach()[list(heads)])
        own.norm_mixed.weight = nn.Parameter(own.norm_mixed.weight.detach()[units])
        own.norm_mixed.bias = nn.Parameter(own.norm_mixed.bias.detach()[units])
        own.norm_mixed.normalized_shape = (len(units),)


@torch.no_grad()
def keep_units(block: nn.Module, units: Tensor, means: Tensor) -> None:
    """Leave some units in the feed-forward layer of a block; the others become the mean that they had.

    Args:
        block: Of SASRec.
        units: int64, which.
        means: float ``[all units]``, mean activation of each.
    """
    own: Any = block
    gone = torch.ones(len(means), dtype=torch.bool)
    gone[units] = False
    own.down.bias.add_(own.down.weight[:, gone] @ means[gone])
    keep_rows(own.up, units)
    keep_columns(own.down, units)


def without_block(model: AttentionModel, number: int) -> AttentionModel:
    """The model without one of its blocks; the others stay as they are."""
    kept = [block for place, block in enumerate(model.blocks) if place != number]
    model.blocks = nn.ModuleList(kept)
    model.config = model.config.replace(blocks=len(kept))
    return model


@torch.no_grad()
def keep_rows(linear: nn.Module, rows: Tensor) -> None:
    """Leave some outputs of a linear map."""
    _replace(linear, "second" if isinstance(linear, Factored) else "weight", lambda value: value[rows])
    _replace(linear, "bias", lambda value: value[rows])


@torch.no_grad()
def keep_columns(linear: nn.Module, columns: Tensor) -> None:
    """Leave some inputs of a linear map."""
    _replace(linear, "first" if isinstance(linear, Factored) else "weight", lambda value: value[:, columns])


@torch.no_grad()
def map_inputs(linear: nn.Module, matrix: Tensor, shift: Tensor) -> None:
    """Let a linear map read ``y`` where it read ``matrix @ y + shift``: float ``[inputs, new]`` and ``[inputs]``."""
    own: Any = linear
    own.bias.add_(own.weight @ shift)
    _replace(linear, "first" if isinstance(linear, Factored) else "weight", lambda value: value @ matrix)


@torch.no_grad()
def map_outputs(linear: nn.Module, matrix: Tensor) -> None:
    """Let a linear map give ``matrix @ y`` where it gave ``y``: float ``[new, outputs]``."""
    _replace(linear, "second" if isinstance(linear, Factored) else "weight", lambda value: matrix @ value)
    _replace(linear, "bias", lambda value: matrix @ value)


@contextmanager
def watched(modules: Sequence[nn.Module]) -> Iterator[list[list[Tensor]]]:
    """Collect what goes into some modules while the block runs: a list of inputs for each."""
    seen: list[list[Tensor]] = [[] for _ in modules]

    def note(place: int) -> Any:
        return lambda _module, inputs: seen[place].append(inputs[0].detach())

    handles = [module.register_forward_pre_hook(note(place)) for place, module in enumerate(modules)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _columns(linear: nn.Module) -> int:
    own: Any = linear
    return int((own.first if isinstance(linear, Factored) else own.weight).shape[1])


def _replace(module: nn.Module, name: str, change: Any) -> None:
    setattr(module, name, nn.Parameter(change(getattr(module, name).detach()).contiguous()))
