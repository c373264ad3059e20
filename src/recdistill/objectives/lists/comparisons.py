"""What is compared between the student's scores of the picked items and the teacher's list.

Every comparison is a weighted mean over the items (or pairs) of a position, so its size does not depend on how many
there are. Weights are at least 0 and 0 where there is no item.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from .scene import LEAST_LOGP, NEVER, Picked

__all__ = ["Comparison", "Labels", "ListMLE", "MarginMSE", "Odds", "Pearson", "RankNet", "Softmax"]


class Comparison(ABC):
    """A loss on the picked items of a position."""

    @abstractmethod
    def __call__(self, scores: Tensor, picked: Picked, weights: Tensor, n_items: int) -> Tensor:
        """Float ``[n]``.

        Args:
            scores: float ``[n, s]``, of the student.
            picked: The items.
            weights: float ``[n, s]``.
            n_items: Catalogue size.
        """


class Labels(Comparison):
    """Pointwise: ordered items are labelled 1, the others 0; the mean of ``−log σ(z)`` plus that of ``−log σ(−z)``."""

    def __call__(self, scores: Tensor, picked: Picked, weights: Tensor, n_items: int) -> Tensor:
        above, below = weights * picked.ordered, weights * ~picked.ordered
        return _mean(softplus(-scores), above) + _mean(softplus(scores), below)


@dataclass(frozen=True)
class Odds(Comparison):
    """Pointwise: cross-entropy with the soft label ``σ(log(n_items · p) / T)``.

    A softmax teacher has no logits of single items; an item counts as likely if it is likelier than under the uniform
    distribution.
    """

    temperature: float = 1.0

    def __call__(self, scores: Tensor, picked: Picked, weights: Tensor, n_items: int) -> Tensor:
        wanted = torch.sigmoid((picked.logp + math.log(n_items)) / self.temperature)
        return _mean(softplus(scores) - wanted * scores, weights)


@dataclass(frozen=True)
class Softmax(Comparison):
    """Listwise: ``T² · KL(p ‖ q)`` of the two softmaxes inside the list; weights tilt the teacher's.

    ListNet (Cao et al. 2007, https://doi.org/10.1145/1273496.1273513) with the teacher's distribution as target.
    """

    temperature: float = 1.0

    def __call__(self, scores: Tensor, picked: Picked, weights: Tensor, n_items: int) -> Tensor:
        tilted = (picked.logp / self.temperature + weights.clamp_min(1e-30).log()).masked_fill(weights == 0, NEVER)
        student = (scores / self.temperature).masked_fill(~picked.real, NEVER)
        wanted = torch.log_softmax(tilted, dim=1)
        divergence = (wanted.exp() * (wanted - torch.log_softmax(student, dim=1))).sum(1)
        possible = (weights > 0) & (picked.logp > NEVER)
        return self.temperature**2 * divergence * possible.any(1)


class ListMLE(Comparison):
    """Listwise: ``−log`` of the Plackett-Luce probability of the teacher's order, mean over the places.

    ``log(Σ_{j at r or behind} exp z_j + Σ_below exp z) − z_r``; with items below, it is the relaxed probability of RRD.
    Xia et al. 2008, https://doi.org/10.1145/1390156.1390306.
    """

    def __call__(self, scores: Tensor, picked: Picked, weights: Tensor, n_items: int) -> Tensor:
        below = scores.masked_fill(picked.ordered | ~picked.real, NEVER).logsumexp(dim=1, keepdim=True)
        behind = scores.masked_fill(~picked.ordered, NEVER).flip(1)
        rest = torch.logcumsumexp(torch.cat([below, behind], dim=1), dim=1)[:, 1:].flip(1)
        return _mean((rest - scores).masked_fill(~picked.ordered, 0.0), weights * picked.ordered)


@dataclass(frozen=True)
class RankNet(Comparison):
    """Pairwise: cross-entropy of ``σ(z_i − z_j)``, i ordered before j, mean over pairs weighted by ``w_i w_j``.

    The target is 1, or ``σ((s_i − s_j) / T)`` of the teacher's log-probabilities if a temperature is given.
    Burges et al. 2005, https://doi.org/10.1145/1102351.1102363.
    """

    temperature: float | None = None

    def __call__(self, scores: Tensor, picked: Picked, weights: Tensor, n_items: int) -> Tensor:
        ahead = scores[:, :, None] - scores[:, None, :]
        losses = softplus(-ahead)
        if self.temperature is not None:
            teacher = (picked.logp[:, :, None] - picked.logp[:, None, :]) / self.temperature
            losses = losses + (1 - torch.sigmoid(teacher)) * ahead
        pairs = (weights * picked.ordered)[:, :, None] * weights[:, None, :]
        return _mean(losses.flatten(1), pairs.triu(1).flatten(1))


@dataclass(frozen=True)
class MarginMSE(Comparison):
    """Pairwise: ``((z_i − z_j) − (s_i − s_j) / T)²``, mean over all pairs, s the teacher's log-probabilities.

    Hofstätter et al. 2020, https://arxiv.org/abs/2010.02666, on every pair of the list. A temperature matters: it says
    how far apart scores shall be, not only in which order.
    """

    temperature: float = 1.0

    def __call__(self, scores: Tensor, picked: Picked, weights: Tensor, n_items: int) -> Tensor:
        share = weights / weights.sum(1, keepdim=True).clamp_min(1e-12)
        teacher = picked.logp.clamp_min(LEAST_LOGP)  # where it has not answered, the square of what it says is infinite
        error = (scores - teacher / self.temperature).masked_fill(~picked.real, 0.0)
        centred = error - (share * error).sum(1, keepdim=True)  # the mean over pairs is twice the variance
        return 2 * (share * centred**2).sum(1) / (1 - (share**2).sum(1)).clamp_min(1e-6)


@dataclass(frozen=True)
class Pearson(Comparison):
    """Correlation: ``1 − ρ`` of the two softmaxes inside the list, blind to how peaked the student is.

    The inter-class relation of DIST (Huang et al. 2022, https://arxiv.org/abs/2205.10536). The student's variance
    counts as a ten thousandth of the teacher's at least: scores that are all equal have no correlation.
    """

    temperature: float = 1.0

    def __call__(self, scores: Tensor, picked: Picked, weights: Tensor, n_items: int) -> Tensor:
        share = weights / weights.sum(1, keepdim=True).clamp_min(1e-12)
        centred = []
        for values in (picked.logp, scores):
            inside = torch.softmax((values / self.temperature).masked_fill(~picked.real, NEVER), dim=1)
            centred.append(inside - (share * inside).sum(1, keepdim=True))
        teacher, student = centred
        of_teacher, of_student = (share * teacher**2).sum(1), (share * student**2).sum(1)
        apart = (of_teacher * torch.maximum(of_student, 1e-4 * of_teacher) + 1e-30).sqrt()
        return (1 - (share * teacher * student).sum(1) / apart) * ((weights > 0).sum(1) > 1)


def _mean(losses: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over the last axis; 0 where there is no weight."""
    return (losses * weights).sum(1) / weights.sum(1).clamp_min(1e-12)
