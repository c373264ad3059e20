"""Rounding inside training: the forward pass sees numbers as they will be stored, the gradient passes straight through.

Straight-through estimator: Bengio et al. 2013, https://arxiv.org/abs/1308.3432; quantisation-aware training: Jacob et
al. 2018, https://arxiv.org/abs/1712.05877. The rounding is that of :mod:`.quantise` and :mod:`.product`, so that what
was learned is stored without a further error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..models.neural import NeuralModel
from .product import product_code
from .quantise import LEVELS, pack
from .storage import Storage
from .surgery import linear_maps

__all__ = ["KeepZeros", "RoundParts", "RoundRows", "as_stored"]

TABLES = ("items", "seen")
"""Parameters that a bundle stores as tables of vectors."""
_AGAIN = 25
"""Steps after which rows may go over to another codeword."""


class RoundRows(nn.Module):
    """Whole numbers with a scale for each row, as in :func:`~recdistill.compression.quantise.pack`.

    Args:
        start: float ``[rows, width]``, the matrix at the start; in 4 bits the share of its largest value that each row
            uses is found on it, once.
        precision: ``"int8"`` or ``"int4"``.
    """

    def __init__(self, start: Tensor, precision: str) -> None:
        super().__init__()
        self.levels = LEVELS[precision]
        packed = pack(start.detach().float().cpu().numpy(), precision)  # type: ignore[arg-type]
        assert packed.scales is not None
        whole = start.detach().abs().amax(dim=-1) / self.levels
        share = torch.from_numpy(packed.scales).to(whole) / whole.clamp_min(1e-30)
        self.share = nn.Buffer(torch.where(whole > 0, share, torch.ones_like(share)))

    def forward(self, matrix: Tensor) -> Tensor:
        with torch.no_grad():
            scales = (matrix.abs().amax(dim=-1) / self.levels * self.share).clamp_min(1e-30)[..., None]
            rounded = (matrix / scales).round_().clamp_(-self.levels, self.levels).mul_(scales)
        return matrix + (rounded - matrix).detach()


class RoundParts(nn.Module):
    """Codewords in place of parts of rows, as in :func:`~recdistill.compression.product.product_code`.

    A codeword is the mean of what it stands for; from time to time, rows go over to the codeword that has become the
    nearest (as in van den Oord et al. 2017, https://arxiv.org/abs/1711.00937, with the mean of all rows).

    Args:
        start: float ``[n, width]``, the matrix at the start.
        parts: Parts of a row.
    """

    def __init__(self, start: Tensor, parts: int) -> None:
        super().__init__()
        code = product_code(start.detach().float().cpu().numpy(), parts)
        words = code.codebooks.shape[1]
        # one number for each codeword of each part, so that all parts are averaged at once
        self.first = nn.Buffer(torch.arange(parts) * words)
        self.codes = nn.Buffer(torch.from_numpy(code.codes.astype(np.int64)).to(start.device))
        self.books = nn.Buffer(torch.from_numpy(code.codebooks.astype(np.float32)).to(start))
        self.steps = nn.Buffer(torch.zeros(1, dtype=torch.int64))

    def forward(self, matrix: Tensor) -> Tensor:
        with torch.no_grad():
            if self.training:
                self._learn(matrix.detach().view(len(matrix), len(self.books), -1))
            decoded = self.books.view(-1, self.books.shape[2])[self.codes + self.first].reshape(matrix.shape)
        return matrix + (decoded - matrix).detach()

    def _learn(self, columns: Tensor) -> None:
        if int(self.steps) % _AGAIN == _AGAIN - 1:
            for part, book in enumerate(self.books):
                self.codes[:, part] = (book.square().sum(1) - 2 * columns[:, part] @ book.T).argmin(dim=1)
        self.steps.add_(1)
        flat = (self.codes + self.first).view(-1)
        books = self.books.view(-1, self.books.shape[2])
        counts = torch.bincount(flat, minlength=len(books)).clamp_min(1)[:, None]
        sums = torch.zeros_like(books).index_add_(0, flat, columns.reshape(len(flat), -1))
        books.copy_(torch.where(torch.bincount(flat, minlength=len(books))[:, None] > 0, sums / counts, books))


class KeepZeros(nn.Module):
    """What is exactly zero stays so: numbers that were pruned.

    Args:
        start: The matrix at the start.
    """

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.mask = nn.Buffer((start.detach() != 0).to(start))

    def forward(self, matrix: Tensor) -> Tensor:
        return matrix * self.mask


@contextmanager
def as_stored(model: NeuralModel, storage: Storage, sparse: bool = False) -> Iterator[None]:
    """Let a network compute with the numbers that its storage will hold; afterwards it holds exactly these.

    Args:
        model: Changed in place.
        storage: How its tables and the matrices of its encoder are stored.
        sparse: Whether numbers were pruned: then those that are zero stay zero.
    """
    places: list[tuple[Any, str, str]] = [(module, name, storage.encoder_form) for module, name in linear_maps(model)]
    tables = (name for name in TABLES if isinstance(getattr(model, name, None), nn.Parameter))
    places += [(model, name, storage.vectors) for name in tables]
    wrapped = [(module, name, _rounding(getattr(module, name), form, storage, sparse)) for module, name, form in places]
    classes = [(module, type(module)) for module, _, _ in wrapped]
    for place in wrapped:
        _wrap(*place)
    try:
        yield
    finally:
        for module, name, _ in wrapped:
            _unwrap(module, name)
        for module, before in classes:
            module.__class__ = before


def _rounding(matrix: Tensor, form: str, storage: Storage, sparse: bool) -> nn.Module:
    layers: list[nn.Module] = [KeepZeros(matrix)] if sparse else []
    if form == "pq":
        layers.append(RoundParts(matrix, storage.parts_of(matrix.shape[1])))
    elif form in LEVELS:
        layers.append(RoundRows(matrix, form))
    return nn.Sequential(*layers)


def _wrap(module: nn.Module, name: str, rounding: nn.Module) -> None:
    """Whoever reads the parameter gets it rounded; torch's own parametrisations allow none that is called ``items``."""
    raw = module._parameters.pop(name)
    module.register_parameter(f"raw_{name}", raw)
    module.add_module(f"rounding_{name}", rounding)
    read = property(lambda own: getattr(own, f"rounding_{name}")(getattr(own, f"raw_{name}")))
    module.__class__ = type(type(module).__name__, (type(module),), {name: read})


@torch.no_grad()
def _unwrap(module: nn.Module, name: str) -> None:
    rounded = getattr(module, name).detach().clone()
    delattr(module, f"raw_{name}")
    delattr(module, f"rounding_{name}")
    module._parameters[name] = nn.Parameter(rounded)
