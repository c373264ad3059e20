"""Low-rank factorisation of the item table and of the matrices of the encoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...models.fism import FISMModel
from ...models.mf import MFModel
from ...models.neural import NeuralModel
from ...models.sequence import SequenceModel
from ...models.slim import Factored
from ..candidate import Candidate, Workshop
from .base import RecoveringStep

__all__ = ["LowRank"]

_RIDGE = 1e-4


class LowRank(RecoveringStep):
    """Item vectors become narrower, and matrices of the encoder two thin ones.

    With item vectors ``V`` and context vectors ``h`` of second moment ``S``, the scores of all items are off by the
    least squared error if ``V S^½`` is cut to its leading singular directions: the directions that contexts ask for
    stay, not those in which items happen to spread. A network keeps its width inside; two thin matrices lead in and
    out. Matrix factorisation and FISM become narrower as a whole.
    """

    name: ClassVar[str] = "low-rank"

    amount: float = Field(0.125, ge=0, lt=1, description="share of the width of the item vectors that is cut")
    matrices: float | None = Field(
        None, gt=0, le=1, description="rank of the encoder's matrices, as a share of what it can be; None: left whole"
    )

    def check(self, candidate: Candidate) -> None:
        candidate.network()

    @torch.no_grad()
    def cut(self, candidate: Candidate, shop: Workshop) -> Candidate:
        model = candidate.network()
        width = max(model.dim - round(self.amount * model.dim), 1)
        if width < model.dim:
            asked = torch.from_numpy(model.encode(shop.sample))
            narrow(model, width, asked.double().T @ asked.double() / max(len(asked), 1))
        if self.matrices is not None:
            thin(model, self.matrices)
        return replace(candidate, model=model)


@torch.no_grad()
def narrow(model: NeuralModel, width: int, moment: Tensor) -> None:
    """Cut the item vectors of a network to a width, in place.

    Args:
        model: SASRec, HSTU, GRU4Rec, FISM or matrix factorisation.
        width: Below the present one.
        moment: float64 ``[dim, dim]``, second moment of the context vectors.
    """
    values, basis = torch.linalg.eigh(moment)
    values = values.clamp_min(0) + _RIDGE * float(values.mean().clamp_min(1e-30))
    root = basis * values.sqrt() @ basis.T
    inverse = basis / values.sqrt() @ basis.T
    vectors: Any = model.table().double()
    weighed = vectors @ root
    _, directions = torch.linalg.eigh(weighed.T @ weighed)
    directions = directions[:, -width:] @ _spread(width)
    items, leave = weighed @ directions, inverse @ directions
    scale = (vectors.square().mean() / items.square().mean().clamp_min(1e-30)).sqrt()  # as large as they were
    items, leave = items * scale, leave / scale
    own: Any = model
    if isinstance(model, SequenceModel):
        gram = items.T @ items
        enter = torch.linalg.solve(
            gram + 1e-9 * float(gram.diagonal().mean()) * torch.eye(width).double(), items.T @ vectors
        )
        before = torch.eye(vectors.shape[1]).double()
        own.enter = nn.Parameter((enter @ (before if own.enter is None else own.enter.double())).float())
        own.leave = nn.Parameter(((before if own.leave is None else own.leave.double()) @ leave).float())
    else:
        assert isinstance(model, FISMModel | MFModel)
        asks = "seen" if isinstance(model, FISMModel) else "users"
        setattr(own, asks, nn.Parameter((getattr(own, asks).double() @ leave).float()))
        own.config = own.config.replace(dim=width)
    own.items = nn.Parameter(items.float())


def thin(model: nn.Module, share: float) -> None:
    """Replace each linear map of a network by two thin ones where that has fewer numbers, in place.

    Args:
        model: The network.
        share: Of the largest rank that has fewer numbers.
    """
    for name, module in list(model.named_modules()):
        if not isinstance(module, nn.Linear):
            continue
        outputs, inputs = module.weight.shape
        rank = int(share * outputs * inputs / (outputs + inputs))
        if rank < 1 or rank >= min(outputs, inputs):
            continue
        u, s, v = torch.linalg.svd(module.weight.double(), full_matrices=False)
        root = s[:rank].sqrt()
        parent, _, child = name.rpartition(".")
        made = Factored((root[:, None] * v[:rank]).float(), (u[:, :rank] * root).float(), module.bias.detach().clone())
        setattr(model.get_submodule(parent), child, made)


def _spread(width: int) -> Tensor:
    """A rotation after which no direction is stronger than another, so that all of them can be rounded alike."""
    generator = torch.Generator().manual_seed(0)
    rotation: Tensor = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64)).Q
    return rotation
