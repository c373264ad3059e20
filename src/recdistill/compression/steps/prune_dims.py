"""Structured pruning: dimensions of the whole network, after a rotation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ...models.sequence import AttentionModel
from ..candidate import Candidate, Workshop
from ..surgery import map_inputs, map_outputs, readers, watched, writers
from .base import RecoveringStep
from .prune_heads import attention_of

__all__ = ["PruneDims"]

Doubles = Tensor


class PruneDims(RecoveringStep):
    """The stream of an attention network is rotated to its principal axes, and the weakest are cut: item vectors,
    positions and every matrix become narrower (cf. SliceGPT, Ashkboos et al. 2024, https://arxiv.org/abs/2401.15024).

    A layer norm commutes with rotations that keep the direction it takes out, which is that of the mean: so nothing but
    what is cut is lost. The axes are those of the normalised stream on training histories and of the item vectors,
    which share the space. Scale and shift of the norms go into the matrices that read them.
    """

    name: ClassVar[str] = "prune-dims"

    amount: float = Field(0.25, ge=0, lt=1, description="share of the width that is cut")
    epochs: int = Field(5, ge=0, description="of recovery training from the teachers' knowledge; 0 for none")

    def check(self, candidate: Candidate) -> None:
        attention_of(candidate, "dimensions")

    @torch.no_grad()
    def cut(self, candidate: Candidate, shop: Workshop) -> Candidate:
        model = attention_of(candidate, "dimensions")
        width = max(model.config.dim - round(self.amount * model.config.dim), 2)
        if width < model.config.dim:
            slice_stream(model, principal(moments(model, shop), width))
        return replace(candidate, model=model)


@torch.no_grad()
def moments(model: AttentionModel, shop: Workshop) -> Doubles:
    """Second moment of the stream after centring and scaling, and of the item vectors in it: float64 ``[dim, dim]``."""
    norms: list[nn.Module] = [norm for block in model.blocks for norm, _ in readers(block)]
    with watched([*norms, model.norm]) as seen:
        model.encode(shop.sample)
    vectors = model.items if model.enter is None else model.items @ model.enter
    found = _moment([vectors])
    for inputs in seen:
        found = found + _moment([x - x.mean(dim=-1, keepdim=True) for x in inputs]) / len(seen)
    return found


def principal(moment: Doubles, width: int) -> Doubles:
    """Axes that keep most of a moment, and a layer norm what it is: float64 ``[dim, width]``, orthonormal columns.

    The direction of the mean, ``1 / √dim``, becomes that of the new mean; the others are the strongest that are
    orthogonal to it.
    """
    dim = len(moment)
    mean = torch.full((dim, 1), dim**-0.5, dtype=torch.float64)
    across = torch.eye(dim).double() - mean @ mean.T
    _, axes = torch.linalg.eigh(across @ moment @ across)
    # the axis of the mean has the eigenvalue 0; whatever is kept is made orthogonal to it
    strongest = torch.linalg.qr(torch.cat([mean, axes[:, -(width - 1) :]], dim=1)).Q[:, 1:]
    whole = torch.cat([mean, strongest], dim=1)
    return whole @ _reflection(width)


@torch.no_grad()
def slice_stream(model: AttentionModel, axes: Doubles) -> None:
    """Let a network live in the space of some axes, in place.

    Args:
        model: SASRec or HSTU.
        axes: float64 ``[dim, width]`` of :func:`principal`.
    """
    dim, width = axes.shape
    own: Any = model
    # item vectors enter times the root of the width, so all else that is written shrinks with it
    shrunk = (width / dim) ** 0.5
    grown = (dim / width) ** 0.5  # a norm divides by the root of a mean over the width
    for block in model.blocks:
        for norm, name in readers(block):
            read = norm.weight.double()[:, None] * axes * grown
            map_inputs(getattr(block, name), read.float(), norm.bias.detach().clone())
            _reset(norm, width)
        for linear in writers(block):
            map_outputs(linear, (axes.T * shrunk).float())
    own.place = nn.Parameter((model.place.double() @ axes * shrunk).float())
    leave = torch.eye(dim).double() if model.leave is None else model.leave.double()
    if model.enter is None:  # item vectors lie in the stream and turn with it
        own.items = nn.Parameter((model.items.double() @ axes).float())
        leave = leave @ axes
    else:
        own.enter = nn.Parameter((model.enter.double() @ axes).float())
    last = (model.norm.weight.double()[:, None] * axes).T @ leave * grown
    shift = model.norm.bias.double() @ leave
    _reset(model.norm, width)
    model.norm.bias.copy_(torch.linalg.lstsq(last.T, shift[:, None]).solution[:, 0].float())
    own.leave = nn.Parameter(last.float())
    model.config = model.config.replace(dim=width, head_width=model.config.width)


def _moment(inputs: list[Tensor]) -> Doubles:
    """Mean of ``x xᵀ`` over rows, for a mean square of 1."""
    rows = torch.cat([x.reshape(-1, x.shape[-1]) for x in inputs]).double()
    moment: Tensor = rows.T @ rows
    return moment / moment.diagonal().mean().clamp_min(1e-30)


def _reflection(width: int) -> Doubles:
    """The orthogonal map that turns the first axis into the direction of the mean: float64 ``[width, width]``."""
    turned = -torch.full((width,), width**-0.5, dtype=torch.float64)
    turned[0] += 1
    size = turned @ turned
    identity = torch.eye(width).double()
    return identity if float(size) < 1e-12 else identity - 2 * torch.outer(turned, turned) / size


def _reset(norm: nn.LayerNorm, width: int) -> None:
    """A norm of another width that neither scales nor shifts."""
    norm.weight, norm.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
    norm.normalized_shape = (width,)
