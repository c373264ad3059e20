"""The catalogue-wide part of a step: scores in bounded chunks, one gradient for all objectives.

For every chunk of positions the scores ``Z = H Vᵀ + b`` are computed once. Objectives ask for single scores and for
log-sum-exps at some temperatures; these few numbers per position are the leaves on which autograd works. What comes
back, ``∂L/∂z_i`` for single scores and ``∂L/∂lse_T``, gives the gradient of the whole matrix in closed form,

    ``∂L/∂Z = Σ_T (∂L/∂lse_T) · softmax(Z / T) / T  +  scatter(∂L/∂z_i)``

and with it ``∂L/∂H`` and ``∂L/∂V``. So nothing of size positions × items outlives its chunk, and a second objective
at the same temperature costs no further pass over the catalogue.

All of it is computed in float32 at least, also where the network runs in bfloat16: a log-sum-exp of thousands of items
needs more than 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..objectives.base import ScoreObjective, Targets
from .sampled import Negatives, SampledChunk
from .scores import Chunk, FullChunk, Gradients, Space

__all__ = ["Negatives", "catalogue_loss"]

_CHUNK_NUMBERS = 1 << 22
"""Scores in one chunk on a CPU: 16 MB. Fewer lie closer, but every chunk costs some hundred small operations."""
_CHUNK_NUMBERS_GPU = 1 << 27
_CHUNK_ROWS = 32
"""Positions in one chunk at least: matrix products of fewer rows are slow."""

_CHUNK_ITEMS = 8
"""Item vectors at a position that a chunk has room for at least, where only single scores are asked for."""

Term = tuple[ScoreObjective, float]
"""An objective and its weight at this step."""


def catalogue_loss(
    hidden: Tensor,
    table: Tensor,
    bias: Tensor | None,
    targets: Targets,
    terms: Sequence[Term],
    negatives: Negatives | None = None,
) -> tuple[Tensor, Tensor]:
    """Weighted sum of the mean losses of some objectives over all positions.

    Args:
        hidden: float ``[n, dim]``, states at the labelled positions.
        table: float ``[n_items, dim]``, item vectors.
        bias: float ``[n_items]`` or None.
        targets: Labels and stored rankings at the positions.
        terms: Objectives with their weights, at least one.
        negatives: Estimate log-sum-exps from these items instead of all.

    Returns:
        The loss, differentiable with respect to ``hidden``, ``table`` and ``bias``, and the unweighted mean of each
        term, float ``[len(terms)]``.
    """
    loss, means = _CatalogueLoss.apply(hidden, table, bias, targets, terms, negatives)  # type: ignore[no-untyped-call]
    return loss, means


class _CatalogueLoss(torch.autograd.Function):
    """Computes the gradients in the forward pass, chunk by chunk; backward only scales them."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, table: Tensor, bias: Tensor | None, targets: Targets, terms: Sequence[Term],
        negatives: Negatives | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        ctx.dtypes = [None if value is None else value.dtype for value in (hidden, table, bias)]
        hidden, table, bias = _exact(hidden), _exact(table), None if bias is None else _exact(bias)
        gradients = Gradients(
            torch.empty_like(hidden), torch.zeros_like(table), None if bias is None else torch.zeros_like(bias)
        )
        weights = torch.tensor([weight for _, weight in terms], dtype=hidden.dtype, device=hidden.device) / len(hidden)
        sums = torch.zeros_like(weights)
        make, rows = _kind(terms, hidden, table, targets, negatives)
        for objective, _ in terms:
            objective.look_ahead(targets)
        for start in range(0, len(hidden), rows):
            part = slice(start, min(start + rows, len(hidden)))
            chunk = make(hidden[part], table, bias, targets.labels[part])
            sums += _run_terms(chunk, targets.rows(part), terms, weights)
            gradients.hidden[part] = chunk.backward(gradients)
        ctx.save_for_backward(gradients.hidden, gradients.table, gradients.bias)
        means = sums / len(hidden)
        ctx.mark_non_differentiable(means)
        return sums @ weights, means

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        scaled = [
            None if value is None else (value * upstream).to(dtype)
            for value, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return *scaled, None, None, None


def _exact(value: Tensor) -> Tensor:
    return value.detach().to(torch.promote_types(value.dtype, torch.float32))


def _kind(
    terms: Sequence[Term], hidden: Tensor, table: Tensor, targets: Targets, negatives: Negatives | None
) -> tuple[Any, int]:
    """How to make a chunk for these terms, and how many positions go into one."""
    numbers = _CHUNK_NUMBERS_GPU if hidden.is_cuda else _CHUNK_NUMBERS
    make: Any
    # scores of single items are products of vectors that are fetched for them, where no matrix has them
    fetched = max(_CHUNK_ITEMS, *(objective.asked(targets) for objective, _ in terms)) * table.shape[1]
    if not any(objective.dense for objective, _ in terms):
        make, width = Chunk, fetched
    elif negatives is not None:
        make, width = partial(SampledChunk, negatives=negatives), max(len(negatives.items), fetched)
    else:
        wanted = {temperature for objective, _ in terms for temperature in objective.temperatures}
        make, width = partial(FullChunk, space=Space(table), base=2.0 if 2.0 in wanted else 1.0), len(table)
    return make, max(_CHUNK_ROWS, numbers // width)


def _run_terms(chunk: Chunk, targets: Targets, terms: Sequence[Term], weights: Tensor) -> Tensor:
    """Sum of each term over the chunk; leaves the gradient of their weighted sum in the chunk's leaves."""
    with torch.enable_grad():
        sums = torch.stack([objective.loss(chunk, targets).sum() for objective, _ in terms]).to(weights.dtype)
        torch.autograd.backward(sums, weights)
    return sums.detach()
