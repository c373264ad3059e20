"""Soft labels: the student's distribution over items moves towards the teacher's."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..data.dataset import Split
from ..knowledge import Knowledge
from ..models.neural import NeuralModel
from .base import ObjectiveConfig, ScoreObjective, Scores, Targets, the_only

__all__ = ["SoftLabels", "SoftLabelsLoss"]

_TINY = 1e-7


class SoftLabels(ObjectiveConfig):
    """Listwise KL divergence on the stored top-k, with everything else in one bucket, the tail.

    With teacher probabilities ``p`` and student probabilities ``q``, both at temperature T over the whole catalogue:

        ``T² · confidence · ( Σ_{i in top-k} p_i log(p_i / q_i) + p_tail log(p_tail / q_tail) )``

    The factor T² keeps gradients of the same size for every T (Hinton et al. 2015, https://arxiv.org/abs/1503.02531);
    grouping classes keeps a KL divergence exact for the groups. Without ``tail`` both sides are renormalised to the
    list, which leaves the student free to rank unlisted items above it.
    """

    name: ClassVar[str] = "soft-labels"

    teacher: str | None = Field(None, description="whose rankings; needed only if several teachers left some")
    temperature: float = Field(2.0, ge=0.25, le=100)
    k: int | None = Field(None, ge=1, description="use only so many items of each list")
    tail: bool = Field(True, description="count the probability of unlisted items")

    def build(self) -> SoftLabelsLoss:
        return SoftLabelsLoss(self)


class SoftLabelsLoss(ScoreObjective):
    """The term described by :class:`SoftLabels`."""

    config: SoftLabels

    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        store = the_only(knowledge.rankings(self.config.teacher), "rankings")
        self.teacher = store.manifest.teacher

    @property
    def temperatures(self) -> tuple[float, ...]:
        return (self.config.temperature,)

    def loss(self, scores: Scores, targets: Targets) -> Tensor:
        known = targets.rankings[self.teacher or ""]
        t, k = self.config.temperature, self.config.k or known.items.shape[1]
        teacher = known.logp[:, :k] / t
        dropped = known.logp[:, k:] / t
        student = scores.of(known.items[:, :k]) / t
        if self.config.tail:
            tail = torch.logsumexp(torch.cat([known.tails[t][:, None], dropped], dim=1), dim=1)
            divergence = _kl_with_tail(teacher, tail, student - scores.logsumexp(t)[:, None])
        else:
            divergence = _kl(
                torch.log_softmax(teacher, 1), torch.log_softmax(student.masked_fill(teacher.isinf(), -torch.inf), 1)
            )
        return t * t * known.confidence * torch.where(known.confidence > 0, divergence, 0.0)


def _kl_with_tail(teacher: Tensor, tail: Tensor, student: Tensor) -> Tensor:
    """KL over listed items and one bucket. ``teacher``, ``tail`` unnormalised logs; ``student`` log-probabilities."""
    total = torch.logaddexp(torch.logsumexp(teacher, dim=1), tail)
    listed = _kl(teacher - total[:, None], student)
    log_p = tail - total
    listed_mass = student.masked_fill(teacher.isinf(), -torch.inf).exp().sum(1)
    log_q = torch.log((1 - listed_mass).clamp_min(_TINY))
    return listed + torch.where(log_p.isinf(), 0.0, log_p.exp() * (log_p.nan_to_num(neginf=0.0) - log_q))


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Σ p (log p − log q) over the last axis; items that the teacher gave no probability count nothing."""
    absent = log_p.isinf()
    difference = (log_p - log_q).masked_fill(absent, 0.0)
    return (log_p.exp() * difference).sum(1)
