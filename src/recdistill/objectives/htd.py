"""Hierarchical Topology Distillation: relations inside groups that are learned, and relations to the groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ..models.neural import NeuralModel
from .de import reconstruction
from .experts import Experts
from .ftd import cosines, together
from .vectors import Pairs, VectorsConfig, VectorsObjective

__all__ = ["HTD", "HTDLoss"]


class HTD(VectorsConfig):
    """``(1 − γ) · (within + between) + γ · grouping``, all relations being cosines as in ``ftd``.

    ``grouping`` is the loss of ``de``: users and items that share an expert make a group. ``within`` is the mean
    squared difference of the relations between members of one group, ``between`` that of the relations between each
    group's mean vector and everything (``entity``) or the other means (``group``). A small student has fewer relations
    to keep, and the coarse ones as well. Kang et al. 2021, https://arxiv.org/abs/2106.08700; groups, γ, temperature and
    the kind of relation as their published code sets them for a student of a tenth of the teacher's width. Variant:
    means instead of sums, and means of groups carry a gradient.
    """

    name: ClassVar[str] = "htd"

    groups: int = Field(30, ge=1, description="groups of users, and as many of items (K)")
    temperature: float = Field(0.1, gt=0, description="of the choice of a group")
    gamma: float = Field(0.5, ge=0, le=1, description="weight of the grouping (γ)")
    between: Literal["entity", "group"] = Field(
        "entity", description="a group's relations: to everything, or to groups"
    )

    def build(self) -> HTDLoss:
        return HTDLoss(self)


class HTDLoss(VectorsObjective):
    """The term described by :class:`HTD`."""

    config: HTD

    def add_parameters(self, model: NeuralModel, widths: Mapping[str, int]) -> None:
        self.experts = nn.ModuleDict({s: Experts(model.dim, n, self.config.groups) for s, n in widths.items()})

    def compared(self, sides: Mapping[str, Pairs]) -> Tensor:
        grouping = reconstruction(self.experts, sides, self.config.temperature)
        groups = [
            self.experts[side].groups(pairs.teacher) + number * self.config.groups  # type: ignore[operator]
            for number, (side, pairs) in enumerate(sides.items())
        ]
        topology = hierarchy(together(sides), torch.cat(groups), self.config.between)
        return (1 - self.config.gamma) * topology + self.config.gamma * grouping


def hierarchy(pairs: Pairs, groups: Tensor, between: Literal["entity", "group"]) -> Tensor:
    """Relations inside groups and relations of groups: a scalar.

    Args:
        pairs: ``m`` things as student and teacher see them.
        groups: int64 ``[m]``.
        between: What the means of groups are compared with.
    """
    alike = groups[:, None] == groups
    apart = (cosines(pairs.student, pairs.student) - cosines(pairs.teacher, pairs.teacher)).square()
    within = (apart * alike).sum() / alike.sum()
    member = functional.one_hot(torch.unique(groups, return_inverse=True)[1]).to(apart.dtype).T
    share = member / member.sum(1, keepdim=True)
    means = Pairs(share @ pairs.student, share @ pairs.teacher)
    other = pairs if between == "entity" else means
    outer = functional.mse_loss(cosines(means.student, other.student), cosines(means.teacher, other.teacher))
    return within + outer
