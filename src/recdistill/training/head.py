"""The catalogue-wide part of a step: scores in bounded chunks, one gradient for all objectives.

For every chunk of positions the scores ``Z = H Vᵀ + b`` are computed once. Objectives ask for single scores and for
log-sum-exps at some temperatures; these few numbers per position are the leaves on which autograd works. What comes back,
``∂L/∂z_i`` for single scores and ``∂L/∂lse_T``, gives the gradient of the whole matrix in closed form,

    ``∂L/∂Z = Σ_T (∂L/∂lse_T) · softmax(Z / T) / T  +  scatter(∂L/∂z_i)``

and with it ``∂L/∂H`` and ``∂L/∂V``. So nothing of size positions × items outlives its chunk, and a second objective
at the same temperature costs no further pass over the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..objectives.base import ScoreObjective, Targets

__all__ = ["Negatives", "catalogue_loss"]

_CHUNK_NUMBERS = 1 << 20
"""Scores in one chunk on a CPU: 4 MB, small enough to stay in the cache between the passes over it."""
_CHUNK_NUMBERS_GPU = 1 << 27


@dataclass(frozen=True, slots=True)
class Negatives:
    """A sample of the catalogue for sampled softmax, shared by all positions of a step.

    Attributes:
        items: int64 ``[m]``, drawn with replacement.
        log_expected: float ``[m]``, log of the expected number of draws of each, ``log(m · probability)``.
    """

    items: Tensor
    log_expected: Tensor


Term = tuple[ScoreObjective, float]
"""An objective and its weight at this step."""


def catalogue_loss(
    hidden: Tensor,
    table: Tensor,
    bias: Tensor | None,
    targets: Targets,
    terms: Sequence[Term],
    negatives: Negatives | None = None,
) -> tuple[Tensor, list[float]]:
    """Weighted sum of the mean losses of some objectives over all positions.

    Args:
        hidden: float ``[n, dim]``, states at the labelled positions.
        table: float ``[n_items, dim]``, item vectors.
        bias: float ``[n_items]`` or None.
        targets: Labels and stored rankings at the positions.
        terms: Objectives with their weights.
        negatives: Estimate log-sum-exps from these items instead of all (see :class:`_Sampled`).

    Returns:
        The loss, differentiable with respect to ``hidden``, ``table`` and ``bias``, and the unweighted mean of each term.
    """
    means: list[float] = []
    loss: Tensor = _CatalogueLoss.apply(hidden, table, bias, targets, terms, negatives, means)  # type: ignore[no-untyped-call]
    return loss, means


class _CatalogueLoss(torch.autograd.Function):
    """Computes the gradients in the forward pass, chunk by chunk; backward only scales them."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, hidden: Tensor, table: Tensor, bias: Tensor | None, targets: Targets, terms: Sequence[Term],
        negatives: Negatives | None, means: list[float],
    ) -> Tensor:  # fmt: skip
        hidden, table, given = hidden.detach(), table.detach().to(hidden.dtype), (hidden, table, bias)
        gradients = _Gradients(
            torch.empty_like(hidden), torch.zeros_like(table), None if bias is None else torch.zeros_like(bias)
        )
        kind = _chunk_kind(terms, negatives)
        numbers = _CHUNK_NUMBERS_GPU if hidden.is_cuda else _CHUNK_NUMBERS
        rows = max(32, numbers // (len(table) if negatives is None else len(negatives.items)))
        sums = torch.zeros(len(terms))
        for start in range(0, len(hidden), rows):
            part = slice(start, min(start + rows, len(hidden)))
            chunk = kind(hidden[part], table, bias, targets.labels[part], negatives)
            sums += _run_terms(chunk, targets.rows(part), terms, len(hidden))
            gradients.hidden[part] = chunk.backward(gradients)
        means.extend((sums / len(hidden)).tolist())
        ctx.save_for_backward(gradients.hidden, gradients.table.to(given[1].dtype), gradients.bias)
        return (sums / len(hidden) @ torch.tensor([weight for _, weight in terms])).to(hidden)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        hidden, table, bias = ctx.saved_tensors
        return hidden * upstream, table * upstream, None if bias is None else bias * upstream, None, None, None, None


@dataclass(slots=True)
class _Gradients:
    hidden: Tensor
    table: Tensor
    bias: Tensor | None


def _run_terms(chunk: _Chunk, targets: Targets, terms: Sequence[Term], n: int) -> Tensor:
    """Sum of each term over the chunk; leaves the gradient of the weighted mean in the chunk's leaves."""
    with torch.enable_grad():
        losses = [objective.loss(chunk, targets).sum() for objective, _ in terms]
        total = sum((loss * (weight / n) for loss, (_, weight) in zip(losses, terms, strict=True)), torch.zeros(()))
        total.backward()  # type: ignore[no-untyped-call]
    return torch.stack([loss.detach().float().cpu() for loss in losses])


def _chunk_kind(terms: Sequence[Term], negatives: Negatives | None) -> Callable[..., _Chunk]:
    if not any(objective.dense for objective, _ in terms):
        return _Chunk
    return _Full if negatives is None else _Sampled


class _Chunk:
    """Scores of a chunk of positions when only single items are asked for: dot products of just those.

    ``of`` and ``logsumexp`` hand out leaves; :meth:`backward` turns their gradients into those of hidden states, item vectors
    and biases.
    """

    def __init__(
        self, hidden: Tensor, table: Tensor, bias: Tensor | None, labels: Tensor, negatives: Negatives | None
    ) -> None:
        self.hidden, self.table, self.bias, self.labels, self.negatives = hidden, table, bias, labels, negatives
        self.n_items = len(table)
        self.singles: list[tuple[Tensor, Tensor]] = []
        self.sums: dict[float, Tensor] = {}

    def of(self, items: Tensor) -> Tensor:
        with torch.no_grad():
            values = self._single(items)
        leaf = values.detach().requires_grad_()
        self.singles.append((items, leaf))
        return leaf

    def logsumexp(self, temperature: float = 1.0) -> Tensor:
        if temperature not in self.sums:
            with torch.no_grad():
                self.sums[temperature] = self._logsumexp(temperature)
            self.sums[temperature].requires_grad_()
        return self.sums[temperature]

    def backward(self, gradients: _Gradients) -> Tensor:
        """Add to the gradients of table and bias; return that of the hidden states."""
        return self._singles_backward(gradients, torch.zeros_like(self.hidden))

    def _single(self, items: Tensor) -> Tensor:
        values = torch.einsum("nd,nkd->nk", self.hidden, self.table[items])
        return values if self.bias is None else values + self.bias[items]

    def _logsumexp(self, temperature: float) -> Tensor:
        raise TypeError("an objective that is not dense asked for logsumexp")

    def _singles_backward(self, gradients: _Gradients, to_hidden: Tensor) -> Tensor:
        for items, leaf in self.singles:
            if leaf.grad is None:
                continue
            to_hidden += torch.einsum("nk,nkd->nd", leaf.grad, self.table[items])
            per_item = leaf.grad[:, :, None] * self.hidden[:, None, :]
            gradients.table.index_add_(0, items.reshape(-1), per_item.reshape(-1, self.hidden.shape[1]))
            if gradients.bias is not None:
                gradients.bias.index_add_(0, items.reshape(-1), leaf.grad.reshape(-1).to(gradients.bias.dtype))
        return to_hidden


class _Full(_Chunk):
    """Scores of all items, in one matrix that lives as long as the chunk."""

    def __init__(
        self, hidden: Tensor, table: Tensor, bias: Tensor | None, labels: Tensor, negatives: Negatives | None
    ) -> None:
        super().__init__(hidden, table, bias, labels, negatives)
        self.scores = hidden @ table.T if bias is None else torch.addmm(bias.to(hidden.dtype), hidden, table.T)
        self.top = self.scores.amax(dim=1, keepdim=True)
        self.exponentials: dict[float, Tensor] = {}

    def _single(self, items: Tensor) -> Tensor:
        return self.scores.gather(1, items)

    def _exponential(self, temperature: float) -> Tensor:
        """exp((Z − max) / T); at T = 2 and T = 1 each is the square or root of the other, cheaper than another exp."""
        known = self.exponentials
        if temperature not in known:
            if temperature == 1.0 and 2.0 in known:
                known[temperature] = known[2.0].square()
            elif temperature == 2.0 and 1.0 in known:
                known[temperature] = known[1.0].sqrt()
            else:
                known[temperature] = torch.sub(self.scores, self.top).div_(temperature).exp_()
        return known[temperature]

    def _logsumexp(self, temperature: float) -> Tensor:
        return self._exponential(temperature).sum(1).log_().add_(self.top[:, 0] / temperature)

    def backward(self, gradients: _Gradients) -> Tensor:
        dense: Tensor | None = None
        for temperature, leaf in self.sums.items():
            if leaf.grad is None:
                continue
            scale = leaf.grad * (self.top[:, 0] / temperature - leaf.detach()).exp_() / temperature
            part = self.exponentials[temperature].mul_(scale[:, None])
            dense = part if dense is None else dense.add_(part)
        if dense is None:
            dense = torch.zeros_like(self.scores)
        for items, leaf in self.singles:
            if leaf.grad is not None:
                dense.scatter_add_(1, items, leaf.grad)
        gradients.table.addmm_(dense.T, self.hidden)
        if gradients.bias is not None:
            gradients.bias += dense.sum(0).to(gradients.bias.dtype)
        return dense @ self.table


class _Sampled(_Chunk):
    """Log-sum-exps estimated from sampled items by importance weights, plus the label itself.

    ``Σ_j exp(z_j / T) ≈ exp(z_label / T) + Σ_{s sampled, s ≠ label} exp(z_s / T) / (m · q_s)`` is unbiased for the sum over the
    catalogue when ``m`` items are drawn with probabilities ``q`` (Bengio and Senécal 2003,
    http://proceedings.mlr.press/r4/bengio03a.html).
    """

    def __init__(
        self, hidden: Tensor, table: Tensor, bias: Tensor | None, labels: Tensor, negatives: Negatives | None
    ) -> None:
        super().__init__(hidden, table, bias, labels, negatives)
        assert negatives is not None
        self.items, self.log_expected = negatives.items, negatives.log_expected
        self.vectors = table[self.items]
        self.scores = hidden @ self.vectors.T
        if bias is not None:
            self.scores += bias[self.items]
        self.hit = self.items[None, :] == labels[:, None]
        self.own = self._single(labels[:, None])[:, 0]
        self.shares: dict[float, tuple[Tensor, Tensor]] = {}

    def _logsumexp(self, temperature: float) -> Tensor:
        corrected = (self.scores / temperature - self.log_expected).masked_fill_(self.hit, -torch.inf)
        total = torch.logaddexp(torch.logsumexp(corrected, dim=1), self.own / temperature)
        self.shares[temperature] = corrected.sub_(total[:, None]).exp_(), (self.own / temperature - total).exp()
        return total

    def backward(self, gradients: _Gradients) -> Tensor:
        dense, own = torch.zeros_like(self.scores), torch.zeros_like(self.own)
        for temperature, leaf in self.sums.items():
            if leaf.grad is None:
                continue
            sampled, label = self.shares[temperature]
            dense += sampled * (leaf.grad / temperature)[:, None]
            own += label * leaf.grad / temperature
        label_leaf = self.own.detach().clone()[:, None]
        label_leaf.grad = own[:, None]
        self.singles.append((self.labels[:, None], label_leaf))
        gradients.table.index_add_(0, self.items, dense.T @ self.hidden)
        if gradients.bias is not None:
            gradients.bias.index_add_(0, self.items, dense.sum(0).to(gradients.bias.dtype))
        return self._singles_backward(gradients, dense @ self.vectors)
