"""A student's scores at a chunk of positions, as objectives see them (:class:`recdistill.objectives.base.Scores`).

Two kinds: single scores only, and scores of the whole catalogue; ``sampled.py`` has those of a sample of it. Each hands
out leaves and turns their gradients into those of hidden states, item vectors and biases.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..objectives.rows import ascending, padded

__all__ = ["LEAST", "Chunk", "FullChunk", "Gradients", "Space"]

LEAST = 1e-6
"""A sum without some items is at least this part of the whole, where float32 has 6 % of rounding error left."""


@dataclass(slots=True)
class Gradients:
    """Gradients of a step: ``[n, dim]``, ``[n_items, dim]``, ``[n_items]`` or None."""

    hidden: Tensor
    table: Tensor
    bias: Tensor | None


class Chunk:
    """Scores of a chunk of positions when only single items are asked for: dot products of just those.

    Args:
        hidden: float ``[n, dim]``.
        table: float ``[n_items, dim]``.
        bias: float ``[n_items]`` or None.
        labels: int64 ``[n, m]``, -1 for none.
    """

    exact = True

    def __init__(self, hidden: Tensor, table: Tensor, bias: Tensor | None, labels: Tensor) -> None:
        self.hidden, self.table, self.bias, self.labels = hidden, table, bias, labels
        self.n_items = len(table)
        self.singles: list[tuple[Tensor, Tensor]] = []

    @property
    def states(self) -> Tensor:
        """Vectors of the contexts, without a gradient."""
        return self.hidden

    def of(self, items: Tensor) -> Tensor:
        """Scores of some items, a leaf."""
        with torch.no_grad():
            leaf = self._single(items)
        self.singles.append((items, leaf.requires_grad_()))
        return leaf

    def logsumexp(self, temperature: float = 1.0, without: Tensor | None = None) -> Tensor:
        """Log-sum-exp over the catalogue, a leaf."""
        raise TypeError(f"an objective that is not dense asked for logsumexp({temperature}, {without is not None})")

    def top(self, k: int, without: Tensor | None = None) -> Tensor:
        """The student's best items."""
        raise TypeError(f"an objective that is not dense asked for the student's top {k}")

    def ranks(self, items: Tensor, without: Tensor | None = None) -> Tensor:
        """Items scored above each of some."""
        raise TypeError(f"an objective that is not dense asked for the ranks of {items.shape[1]} items")

    def backward(self, gradients: Gradients) -> Tensor:
        """Add to the gradients of table and bias; return that of the hidden states."""
        to_hidden = torch.zeros_like(self.hidden)
        for items, leaf in self.singles:
            if leaf.grad is not None:
                to_hidden += self._single_backward(items, leaf.grad, gradients)
        return to_hidden

    def _single(self, items: Tensor) -> Tensor:
        values = torch.einsum("nd,nkd->nk", self.hidden, self.table[items])
        return values if self.bias is None else values + self.bias[items]

    def _single_backward(self, items: Tensor, upstream: Tensor, gradients: Gradients) -> Tensor:
        per_item = upstream[:, :, None] * self.hidden[:, None, :]
        gradients.table.index_add_(0, items.reshape(-1), per_item.reshape(-1, self.hidden.shape[1]))
        if gradients.bias is not None:
            gradients.bias.index_add_(0, items.reshape(-1), upstream.reshape(-1))
        return torch.einsum("nk,nkd->nd", upstream, self.table[items])


class Space:
    """Matrices that every chunk uses again: fresh memory of this size costs more than what is computed in it.

    Args:
        like: Gives type and device.
    """

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._matrices: dict[object, Tensor] = {}

    def matrix(self, name: object, rows: int, columns: int) -> Tensor:
        """The matrix of that name, with what was left in it; the first call has the most rows."""
        if name not in self._matrices:
            self._matrices[name] = self._like.new_empty(rows, columns)
        return self._matrices[name][:rows]


class FullChunk(Chunk):
    """Scores of all items, in one matrix that lives as long as the chunk.

    Args:
        space: Where the matrices lie; shared by the chunks of a step, one after the other.
        base: 1 or 2, the temperature that the matrix is divided by. With 2, the softmax at T = 1 is taken as the square
            of that at T = 2, made to sum to 1 again: much cheaper than the exponentials once more.
    """

    def __init__(
        self, hidden: Tensor, table: Tensor, bias: Tensor | None, labels: Tensor, *, space: Space, base: float = 1.0
    ) -> None:
        super().__init__(hidden, table, bias, labels)
        self.space, self.base = space, base
        self.scores = torch.mm(hidden / base, table.T, out=self._matrix("scores"))
        if bias is not None:
            self.scores += bias / base
        self.greatest = self.scores.amax(dim=1)
        self.softmaxes: dict[float, Tensor] = {}
        self.sums: dict[float, Tensor] = {}
        self.rests: list[_Rest] = []
        self.ordered: Tensor | None = None

    def logsumexp(self, temperature: float = 1.0, without: Tensor | None = None) -> Tensor:
        with torch.no_grad():
            whole = self._whole(temperature)
            if without is None:
                return whole.requires_grad_()
            absent = without < 0
            if absent.any():
                items = without.clamp_min(0)
                shares = self._shares(temperature, items).masked_fill_(absent, 0.0)
            else:
                items, shares = without, self._shares(temperature, without)
            rest = (1 - shares.sum(1)).clamp_min_(LEAST)
            leaf = (whole + rest.log()).requires_grad_()
        self.rests.append(_Rest(temperature, items, shares, rest, leaf))
        return leaf

    @torch.no_grad()
    def top(self, k: int, without: Tensor | None = None) -> Tensor:
        scores = self.scores
        if without is not None:
            row, column = torch.nonzero(without >= 0, as_tuple=True)
            scores = scores.clone()
            scores[row, without[row, column]] = -torch.inf
        found, items = scores.topk(min(k, self.n_items), dim=1)
        return padded(items.masked_fill(found.isneginf(), -1), k)

    @torch.no_grad()
    def ranks(self, items: Tensor, without: Tensor | None = None) -> Tensor:
        if self.ordered is None:
            self.ordered = ascending(self.scores)
        own = self.scores.gather(1, items)
        ranks = self.n_items - torch.searchsorted(self.ordered, own, right=True)
        if without is None:
            return ranks
        out = self.scores.gather(1, without.clamp_min(0)).masked_fill(without < 0, -torch.inf).sort(dim=1).values
        return ranks - (without.shape[1] - torch.searchsorted(out, own, right=True))

    def backward(self, gradients: Gradients) -> Tensor:
        factors, entries = self._upstream()
        if not factors:  # nobody asked for a softmax: only single entries of the matrix have a gradient
            return super().backward(gradients)
        dense = self._dense(factors, entries)
        gradients.table.addmm_(dense.T, self.hidden)
        if gradients.bias is not None:
            gradients.bias += dense.sum(0)
        return dense @ self.table

    def _single(self, items: Tensor) -> Tensor:
        return self.scores.gather(1, items).mul_(self.base)

    def _softmax(self, temperature: float) -> Tensor:
        if temperature not in self.softmaxes:
            scaled, factor = self.scores, self.base / temperature
            if factor != 1:
                scaled = torch.mul(self.scores, factor, out=self._matrix("scaled"))
            self.softmaxes[temperature] = torch.softmax(scaled, dim=1, out=self._matrix(temperature))
        return self.softmaxes[temperature]

    def _matrix(self, name: object) -> Tensor:
        return self.space.matrix(name, len(self.hidden), self.n_items)

    def _squared(self, temperature: float) -> bool:
        return 2 * temperature == self.base

    def _whole(self, temperature: float) -> Tensor:
        if temperature not in self.sums:
            if self._squared(temperature):
                self.length: Tensor = torch.linalg.vector_norm(self._softmax(self.base), dim=1)
                self.sums[temperature] = 2 * (self._whole(self.base).detach() + self.length.log())
            else:  # the greatest share belongs to the greatest score, and gives the sum without another pass of exp
                greatest = self._softmax(temperature).amax(dim=1)
                self.sums[temperature] = self.greatest * (self.base / temperature) - greatest.log()
        return self.sums[temperature]

    def _shares(self, temperature: float, items: Tensor) -> Tensor:
        if self._squared(temperature):
            return (self._softmax(self.base).gather(1, items) / self.length[:, None]).square_()
        return self._softmax(temperature).gather(1, items)

    def _dense(self, factors: dict[float, Tensor], entries: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Gradient of the matrix of scores: every softmax times a factor for each position, and single entries."""
        parts = []
        half = factors.pop(self.base / 2, None)
        if half is not None:  # (half · softmax + whole) · softmax, where the scores were: they have served
            softmax = self._softmax(self.base)
            half = (half / self.length.square())[:, None]
            whole = factors.pop(self.base, torch.zeros_like(self.length))[:, None]
            parts.append(torch.addcmul(whole, softmax, half, out=self.scores).mul_(softmax))
        parts += [self._softmax(temperature).mul_(factor[:, None]) for temperature, factor in factors.items()]
        dense = parts[0]
        for part in parts[1:]:
            dense += part
        for items, values in entries:
            dense.scatter_add_(1, items, values)
        return dense

    def _upstream(self) -> tuple[dict[float, Tensor], list[tuple[Tensor, Tensor]]]:
        """What the leaves got: factors of each temperature's softmax, and entries of the matrix."""
        factors = {t: leaf.grad / t for t, leaf in self.sums.items() if leaf.grad is not None}
        entries = [(items, leaf.grad) for items, leaf in self.singles if leaf.grad is not None]
        for rest in self.rests:
            if rest.leaf.grad is not None:
                factor = rest.leaf.grad / (rest.temperature * rest.share)
                factors[rest.temperature] = factors.get(rest.temperature, 0) + factor
                _add_entries(entries, rest.items, rest.shares, -factor)
        return factors, entries


def _add_entries(entries: list[tuple[Tensor, Tensor]], items: Tensor, values: Tensor, factor: Tensor) -> None:
    """Add ``values · factor`` ``[n, k] · [n]`` at some items; to entries of the very same items where there are any."""
    for others, known in entries:
        if others.data_ptr() == items.data_ptr() and others.shape == items.shape and others.stride() == items.stride():
            known.addcmul_(values, factor[:, None])
            return
    entries.append((items, values * factor[:, None]))


@dataclass(slots=True)
class _Rest:
    """A sum without some items: their softmax ``[n, k]`` (0 for none), what is left for the rest ``[n]``."""

    temperature: float
    items: Tensor
    shares: Tensor
    share: Tensor
    leaf: Tensor
