"""Soft labels: the student's distribution over items moves towards the teacher's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from .base import Moment, Targets, TeacherRankings
from .lists import NEVER, ListConfig, RankingsObjective, Scene, TaughtConfig
from .lists.weights import Trust
from .schedule import Schedule, Temperature

__all__ = ["Divergence", "SoftLabels", "SoftLabelsLoss", "SoftParameters", "distributions", "kl"]


class SoftParameters(TaughtConfig):
    """Parameters of soft labels, of one teacher or of several."""

    temperature: Temperature = Field(Schedule(start=2.0), description="T; a number, or a schedule over the epochs")
    k: int | None = Field(None, ge=1, description="use only so many items of each list")
    tail: bool = Field(True, description="count the probability of unlisted items")
    trust: Trust = Field(
        "all",
        description="where the teacher is believed: everywhere, label listed, ranked better, given more probability",
    )
    trust_scale: float = Field(
        1.0, gt=0, description="advantage at which it is believed by 76 %: ranks, or nats of log-probability"
    )


class SoftLabels(SoftParameters, ListConfig):
    """Listwise KL divergence on the stored top-k, with everything else in one bucket, the tail.

    With teacher probabilities ``p`` and student probabilities ``q``, both at temperature T over the whole catalogue:

        ``T² · confidence · ( Σ_{i in top-k} p_i log(p_i / q_i) + p_tail log(p_tail / q_tail) )``

    The factor T² keeps gradients of the same size for every T (Hinton et al. 2015, https://arxiv.org/abs/1503.02531);
    grouping classes keeps a KL divergence exact for the groups. Without ``tail`` both sides are renormalised to the
    list, which leaves the student free to rank unlisted items above it.

    With ``trust`` the teacher is believed only where the label of the position speaks for it: where its list has the
    label, or as far as it ranks the label *better* than the student does now, by
    ``tanh(max(student's rank − teacher's rank, 0) / trust_scale)``, or makes it *likelier*, by
    ``tanh(max(log p − log q, 0) / trust_scale)``. What the student already knows is then left alone. Only for students
    that read histories: the labels of one that knows users only are the history itself.
    """

    name: ClassVar[str] = "soft-labels"

    def build(self) -> SoftLabelsLoss:
        return SoftLabelsLoss(self, self.trust, self.trust_scale)


class SoftLabelsLoss(RankingsObjective):
    """The term described by :class:`SoftLabels`."""

    config: SoftLabels

    def __init__(self, config: SoftLabels, trust: Trust, trust_scale: float) -> None:
        super().__init__(config, trust, trust_scale)
        self.divergence = Divergence(config.temperature.at(0), config.k, config.tail)

    @property
    def temperatures(self) -> tuple[float, ...]:
        return (self.divergence.temperature,)

    def begin(self, moment: Moment) -> float:
        self.divergence = Divergence(self.config.temperature.at(moment.epoch - 1), self.config.k, self.config.tail)
        return super().begin(moment)

    def look_ahead(self, targets: Targets) -> None:
        self.divergence.look_ahead(targets.rankings[self.teachers[0]])

    def compared(self, scene: Scene) -> Tensor:
        return self.divergence(scene)


@dataclass(frozen=True)
class Divergence:
    """``T² · KL`` from a teacher's distribution to the student's, see :class:`SoftLabels`.

    Args:
        temperature: T.
        k: Use only so many items of each list; None for all.
        tail: Count the probability of unlisted items.
    """

    temperature: float
    k: int | None
    tail: bool

    def __call__(self, scene: Scene) -> Tensor:
        """Float ``[n]``."""
        t, scores = self.temperature, scene.scores
        p, rest, negentropy, listed = self.look_ahead(scene.known)
        own = scores.of(scene.known.items[:, : p.shape[1]]) / t
        if not self.tail:
            whole = own.masked_fill(listed < 0, NEVER).logsumexp(dim=1)
        else:
            others = scores.logsumexp(t, without=listed)
            negentropy = negentropy - rest * others
            if scores.exact:
                whole = scores.logsumexp(t)
            else:  # what is listed need not be estimated
                whole = torch.logaddexp(own.masked_fill(listed < 0, NEVER).logsumexp(dim=1), others)
        return t * t * (negentropy - (p * own).sum(1) + whole)

    @torch.no_grad()
    def look_ahead(self, known: TeacherRankings) -> tuple[Tensor, ...]:
        """The teacher's side: p ``[n, k]``, p of the rest ``[n]``, Σ p log p ``[n]``, listed items ``[n, k]`` or -1."""
        if self not in known.derived:
            logp, absent = told(known, self.temperature, self.k, self.tail)
            p = logp.exp()
            negentropy = (p * logp).sum(1)
            p, rest = p[:, : absent.shape[1]].masked_fill(absent, 0), p[:, absent.shape[1] :].sum(1)
            items = known.items[:, : absent.shape[1]]
            known.derived[self] = p, rest, negentropy, items.masked_fill(absent, -1) if absent.any() else items
        return known.derived[self]


def told(known: TeacherRankings, temperature: float, k: int | None, tail: bool) -> tuple[Tensor, Tensor]:
    """The teacher's log-probabilities, and where the list has no item.

    Returns:
        Float ``[n, k]``, or ``[n, k + 1]`` with the rest in the last column, ``NEVER`` or less where there is no item;
        and bool ``[n, k]``.
    """
    t, k = temperature, k or known.items.shape[1]
    absent = known.logp[:, :k].isinf()
    logp = (known.logp[:, :k] / t).masked_fill(absent, NEVER)
    if tail:
        dropped = torch.logsumexp(known.logp[:, k:] / t, dim=1)
        rest = torch.logaddexp(known.tails[t], dropped).clamp_min(NEVER)
        logp = torch.cat([logp, rest[:, None]], dim=1)
    return torch.log_softmax(logp, dim=1), absent


def distributions(scene: Scene, temperature: float, k: int | None = None) -> tuple[Tensor, Tensor]:
    """Teacher's and student's log-probabilities of the first ``k`` listed items and of the rest.

    Returns:
        Two float ``[n, k + 1]``, the rest in the last column; ``NEVER`` or less where there is no item.
    """
    teacher, absent = told(scene.known, temperature, k, tail=True)
    items = scene.known.items[:, : absent.shape[1]]
    student = (scene.scores.of(items) / temperature).masked_fill(absent, NEVER)
    rest = scene.scores.logsumexp(temperature, without=items.masked_fill(absent, -1))
    return teacher, torch.log_softmax(torch.cat([student, rest[:, None]], dim=1), dim=1)


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Σ p (log p − log q) over the last axis."""
    return (log_p.exp() * (log_p - log_q)).sum(1)
