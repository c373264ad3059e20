"""Decoupled knowledge distillation: the right answer, and everything else, each by its own weight."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from .lists import NEVER, ListConfig, RankingsObjective, Scene
from .rows import contained
from .soft_labels import distributions, kl

__all__ = ["DKD", "DKDLoss"]


class DKD(ListConfig):
    """``T² · confidence · (α · KL(target, rest) + β · KL(inside))``.

    The first divergence is between the two-way distributions "target or not", the second between distributions inside
    one group, made to sum to 1: soft labels would give it the weight of the teacher's own doubt. With the *label* as
    target, inside means all but the label, the tail in one bucket (Zhao et al. 2022, https://arxiv.org/abs/2203.08679);
    a label that is not listed is no target, so that only the second part is left. With the teacher's *list* as target,
    inside means inside the list: α is for which items, β for their order.
    """

    name: ClassVar[str] = "dkd"

    target: Literal["label", "list"] = "label"
    alpha: float = Field(1.0, ge=0, description="weight of target against rest")
    beta: float = Field(8.0, ge=0, description="weight of the distribution inside")
    temperature: float = Field(2.0, ge=0.25, le=100)
    k: int | None = Field(None, ge=1, description="use only so many items of each list")

    def build(self) -> DKDLoss:
        return DKDLoss(self)


class DKDLoss(RankingsObjective):
    """The term described by :class:`DKD`."""

    config: DKD

    @property
    def temperatures(self) -> tuple[float, ...]:
        return (self.config.temperature,)

    def compared(self, scene: Scene) -> Tensor:
        t = self.config.temperature
        teacher, student = distributions(scene, t, self.config.k)
        target = torch.zeros_like(teacher, dtype=torch.bool)
        listed = scene.listed[:, : target.shape[1] - 1]
        if self.config.target == "list":
            target[:, :-1] = listed >= 0
            inside = target
        else:
            target[:, :-1] = contained(listed, scene.targets.labels)
            inside = ~target
        groups = kl(_two(teacher, target), _two(student, target))
        within = kl(_within(teacher, inside), _within(student, inside))
        return t * t * (self.config.alpha * groups + self.config.beta * within)


def _two(logp: Tensor, target: Tensor) -> Tensor:
    """Log-probabilities of target and rest: float ``[n, 2]``."""
    both = [logp.masked_fill(~group, NEVER).logsumexp(dim=1) for group in (target, ~target)]
    return torch.stack(both, dim=1)


def _within(logp: Tensor, group: Tensor) -> Tensor:
    """Log-probabilities inside a group."""
    return torch.log_softmax(logp.masked_fill(~group, NEVER), dim=1)
