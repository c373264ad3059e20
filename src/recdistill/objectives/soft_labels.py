"""Soft labels: the student's distribution over items moves towards the teacher's."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..data.dataset import Split
from ..knowledge import Knowledge
from ..models.neural import NeuralModel
from .base import ScoreObjective, Scores, Targets, the_only
from .lists import NEVER, ListConfig, Scene
from .lists.weights import Trust, trusted

__all__ = ["SoftLabels", "SoftLabelsLoss"]


class SoftLabels(ListConfig):
    """Listwise KL divergence on the stored top-k, with everything else in one bucket, the tail.

    With teacher probabilities ``p`` and student probabilities ``q``, both at temperature T over the whole catalogue:

        ``T² · confidence · ( Σ_{i in top-k} p_i log(p_i / q_i) + p_tail log(p_tail / q_tail) )``

    The factor T² keeps gradients of the same size for every T (Hinton et al. 2015, https://arxiv.org/abs/1503.02531);
    grouping classes keeps a KL divergence exact for the groups. Without ``tail`` both sides are renormalised to the
    list, which leaves the student free to rank unlisted items above it.

    With ``trust`` the teacher is believed only where the label of the position speaks for it: where its list has the
    label, or as far as it ranks the label ``better`` than the student does now, by
    ``tanh(max(student's rank − teacher's rank, 0) / trust_scale)``. What the student already knows is then left alone.
    """

    name: ClassVar[str] = "soft-labels"

    temperature: float = Field(2.0, ge=0.25, le=100)
    k: int | None = Field(None, ge=1, description="use only so many items of each list")
    tail: bool = Field(True, description="count the probability of unlisted items")
    trust: Trust = Field(
        "all", description="where the teacher is believed: everywhere, label listed, label ranked better"
    )
    trust_scale: float = Field(1.0, gt=0, description="ranks of advantage at which it is believed by 76 %")

    def build(self) -> SoftLabelsLoss:
        return SoftLabelsLoss(self)


class SoftLabelsLoss(ScoreObjective):
    """The term described by :class:`SoftLabels`."""

    config: SoftLabels

    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        self.teacher = the_only(knowledge.rankings(self.config.teacher), split.fingerprint).manifest.teacher

    @property
    def temperatures(self) -> tuple[float, ...]:
        return (self.config.temperature,)

    def loss(self, scores: Scores, targets: Targets) -> Tensor:
        known = targets.rankings[self.teacher or ""]
        t, k = self.config.temperature, self.config.k or known.items.shape[1]
        items, absent = known.items[:, :k], known.logp[:, :k].isinf()
        teacher = (known.logp[:, :k] / t).masked_fill(absent, NEVER)
        student = (scores.of(items) / t).masked_fill(absent, NEVER)
        if self.config.tail:
            dropped = torch.logsumexp(known.logp[:, k:] / t, dim=1)
            teacher_tail = torch.logaddexp(known.tails[t], dropped).clamp_min(NEVER)
            student_tail = scores.logsumexp(t, without=items.masked_fill(absent, -1))
            teacher = torch.cat([teacher, teacher_tail[:, None]], dim=1)
            student = torch.cat([student, student_tail[:, None]], dim=1)
        scene = Scene(scores, known, targets, known.confidence)
        weight = known.confidence * ~absent[:, 0] * trusted(self.config.trust, scene, self.config.trust_scale)
        return t * t * weight * _kl(torch.log_softmax(teacher, dim=1), torch.log_softmax(student, dim=1))


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Σ p (log p − log q) over the last axis."""
    return (log_p.exp() * (log_p - log_q)).sum(1)
