"""Scores of a sample of the catalogue, for catalogues too large to score at every position."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..objectives.rows import contained, first_of_each, padded
from .scores import LEAST, Chunk, Gradients

__all__ = ["Negatives", "SampledChunk"]


@dataclass(frozen=True, slots=True)
class Negatives:
    """A sample of the catalogue for sampled softmax, shared by all positions of a step.

    Attributes:
        items: int64 ``[m]``, ascending, all different.
        log_expected: float ``[m]``, log of expected over actual number of draws of each.
    """

    items: Tensor
    log_expected: Tensor

    @classmethod
    def draw(cls, probabilities: Tensor, n: int) -> Negatives:
        """Draw ``n`` times with replacement.

        Args:
            probabilities: float ``[n_items]``, summing to 1.
            n: Number of draws.
        """
        drawn = torch.multinomial(probabilities, n, replacement=True)
        items, counts = torch.unique(drawn, return_counts=True)
        return cls(items, torch.log(probabilities[items] * n / counts))


class SampledChunk(Chunk):
    """Log-sum-exps estimated from sampled items by importance weights, plus the labels themselves.

    ``Σ_j exp(z_j / T) ≈ Σ_labels exp(z_label / T) + Σ_{s sampled, no label} exp(z_s / T) / (m · q_s)`` is unbiased for
    the sum over the catalogue when ``m`` items are drawn with probabilities ``q`` (Bengio and Senécal 2003,
    http://proceedings.mlr.press/r4/bengio03a.html).
    """

    exact = False

    def __init__(
        self, hidden: Tensor, table: Tensor, bias: Tensor | None, labels: Tensor, *, negatives: Negatives
    ) -> None:
        super().__init__(hidden, table, bias, first_of_each(labels))
        self.items, self.log_expected = negatives.items, negatives.log_expected
        self.vectors = table[self.items]
        self.scores = hidden @ self.vectors.T
        if bias is not None:
            self.scores += bias[self.items]
        self.own = self._score(self.labels.clamp_min(0)).masked_fill_(self.labels < 0, -torch.inf)
        self.sums: list[tuple[float, Tensor, Tensor, Tensor]] = []

    def logsumexp(self, temperature: float = 1.0, without: Tensor | None = None) -> Tensor:
        with torch.no_grad():
            sampled, own = self.scores / temperature - self.log_expected, self.own / temperature
            greatest = torch.cat([sampled, own], dim=1).amax(dim=1)
            self._leave_out(sampled, self.labels)
            if without is not None:
                self._leave_out(sampled, without)
                own = own.masked_fill(contained(self.labels, without), -torch.inf)
            total = torch.logaddexp(sampled.logsumexp(dim=1), own.logsumexp(dim=1))
            leaf = torch.maximum(total, greatest + math.log(LEAST))
            shares = sampled.sub_(leaf[:, None]).exp_(), (own - leaf[:, None]).exp_()
            self.sums.append((temperature, *shares, leaf))
        return leaf.requires_grad_()

    @torch.no_grad()
    def top(self, k: int, without: Tensor | None = None) -> Tensor:
        found, order = self._known(without).topk(min(k, len(self.items) + self.own.shape[1]), dim=1)
        items = torch.cat([self.items.expand(len(found), -1), self.labels], dim=1).gather(1, order)
        return padded(items.masked_fill(found.isneginf(), -1), k)

    @torch.no_grad()
    def ranks(self, items: Tensor, without: Tensor | None = None) -> Tensor:
        scores, order = self._known(without).sort(dim=1)
        sampled = self.log_expected.neg().exp().expand_as(self.scores)  # how many items each stands for
        weights = torch.cat([sampled, torch.ones_like(self.own)], dim=1).gather(1, order)
        above = weights.masked_fill_(scores.isneginf(), 0.0).flip(1).cumsum(1).flip(1)
        above = torch.cat([above, above.new_zeros(len(above), 1)], dim=1)
        estimate = above.gather(1, torch.searchsorted(scores, self._score(items), right=True))
        return estimate.round().long().clamp_max_(self.n_items - 1)

    def backward(self, gradients: Gradients) -> Tensor:
        dense, own = torch.zeros_like(self.scores), torch.zeros_like(self.own)
        for temperature, sampled, labels, leaf in self.sums:
            if leaf.grad is not None:
                factor = (leaf.grad / temperature)[:, None]
                dense += sampled.mul_(factor)
                own += labels * factor
        gradients.table.index_add_(0, self.items, dense.T @ self.hidden)
        if gradients.bias is not None:
            gradients.bias.index_add_(0, self.items, dense.sum(0))
        to_hidden = dense @ self.vectors + self._single_backward(self.labels.clamp_min(0), own, gradients)
        return to_hidden + super().backward(gradients)

    def _score(self, items: Tensor) -> Tensor:
        """Scores of some items: those of the sample exactly as they are there, so that no item is above itself."""
        place = torch.searchsorted(self.items, items.contiguous()).clamp_max_(len(self.items) - 1)
        return torch.where(self.items[place] == items, self.scores.gather(1, place), self._single(items))

    def _known(self, without: Tensor | None) -> Tensor:
        """Scores of the sampled items and of the labels, each item once: ``[n, sampled + m]``, -inf for none."""
        sampled, own = self.scores.clone(), self.own
        self._leave_out(sampled, self.labels)
        if without is not None:
            self._leave_out(sampled, without)
            own = own.masked_fill(contained(self.labels, without), -torch.inf)
        return torch.cat([sampled, own], dim=1)

    def _leave_out(self, scores: Tensor, items: Tensor) -> None:
        """Make the scores of items -inf where they are in the sample; ``items`` int64 ``[n, k]``."""
        place = torch.searchsorted(self.items, items.contiguous()).clamp_max_(len(self.items) - 1)
        row, column = torch.nonzero(self.items[place] == items, as_tuple=True)
        scores[row, place[row, column]] = -torch.inf
