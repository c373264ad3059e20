"""Soft labels: the student's distribution over items moves towards the teacher's."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from .lists import NEVER, ListConfig, RankingsObjective, Scene
from .lists.weights import Trust

__all__ = ["SoftLabels", "SoftLabelsLoss", "distributions", "kl"]


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
        return SoftLabelsLoss(self, self.trust, self.trust_scale)


class SoftLabelsLoss(RankingsObjective):
    """The term described by :class:`SoftLabels`."""

    config: SoftLabels

    @property
    def temperatures(self) -> tuple[float, ...]:
        return (self.config.temperature,)

    def compared(self, scene: Scene) -> Tensor:
        t = self.config.temperature
        return t * t * kl(*distributions(scene, t, self.config.k, self.config.tail))


def distributions(scene: Scene, temperature: float, k: int | None = None, tail: bool = True) -> tuple[Tensor, Tensor]:
    """Teacher's and student's log-probabilities of the first ``k`` listed items and, if wanted, of the rest.

    Returns:
        Two float ``[n, k]`` or ``[n, k + 1]``, the rest in the last column; ``NEVER`` or less where there is no item.
    """
    known, t, k = scene.known, temperature, k or scene.known.items.shape[1]
    items, absent = known.items[:, :k], known.logp[:, :k].isinf()
    teacher = (known.logp[:, :k] / t).masked_fill(absent, NEVER)
    student = (scene.scores.of(items) / t).masked_fill(absent, NEVER)
    if tail:
        dropped = torch.logsumexp(known.logp[:, k:] / t, dim=1)
        teacher_tail = torch.logaddexp(known.tails[t], dropped).clamp_min(NEVER)
        student_tail = scene.scores.logsumexp(t, without=items.masked_fill(absent, -1))
        teacher = torch.cat([teacher, teacher_tail[:, None]], dim=1)
        student = torch.cat([student, student_tail[:, None]], dim=1)
    return torch.log_softmax(teacher, dim=1), torch.log_softmax(student, dim=1)


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Σ p (log p − log q) over the last axis."""
    return (log_p.exp() * (log_p - log_q)).sum(1)
