"""Relational Knowledge Distillation: distances and angles as the teacher has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from .ftd import together
from .vectors import Pairs, VectorsConfig, VectorsObjective

__all__ = ["RKD", "RKDLoss"]

_SAME = 1e-4
"""Distance, as a share of the largest, below which two vectors are the same."""


class RKD(VectorsConfig):
    """``distance · δ(d_s, d_t) + angle · δ(a_s, a_t)``, ``δ`` Huber's loss, mean over pairs and over triples.

    ``d`` is the distance of two users or items, divided by the mean distance of the step; ``a_ijk`` is the cosine of
    the angle at ``j``. Neither needs vectors of the same width. Park et al. 2019, https://arxiv.org/abs/1904.05068; the
    two weights are those of their code for embedding networks. Triples are taken from ``triples`` of the users and
    items, since there are cubically many.
    """

    name: ClassVar[str] = "rkd"

    distance: float = Field(1.0, ge=0, description="weight of distances")
    angle: float = Field(2.0, ge=0, description="weight of angles")
    triples: int = Field(64, ge=3, description="users and items of a step whose angles are compared")

    def build(self) -> RKDLoss:
        return RKDLoss(self)


class RKDLoss(VectorsObjective):
    """The term described by :class:`RKD`."""

    config: RKD

    def compared(self, sides: Mapping[str, Pairs]) -> Tensor:
        pairs = together(sides)
        loss = self.config.distance * functional.smooth_l1_loss(distances(pairs.student), distances(pairs.teacher))
        if self.config.angle:
            some = torch.randperm(len(pairs.student), device=pairs.student.device)[: self.config.triples]
            of_student, of_teacher = angles(pairs.student[some]), angles(pairs.teacher[some])
            loss = loss + self.config.angle * functional.smooth_l1_loss(of_student, of_teacher)
        return loss


def distances(vectors: Tensor) -> Tensor:
    """Distance of every two rows, over the mean of those that are not 0: float ``[m, m]``."""
    lengths = vectors.square().sum(1)
    squares = (lengths[:, None] + lengths - 2 * vectors @ vectors.T).clamp_min(0)
    apart = squares > 1e-12 * lengths.max().clamp_min(1e-12)
    found = torch.where(apart, squares, 1.0).sqrt() * apart  # the root has no slope at 0
    return found / (found.sum() / apart.sum().clamp_min(1)).clamp_min(1e-12)


def angles(vectors: Tensor) -> Tensor:
    """Cosine of the angle at ``j`` between ``i`` and ``k``: float ``[j, i, k]``; 0 where two are the same."""
    differences = vectors[None] - vectors[:, None]
    squares = differences.square().sum(2, keepdim=True)
    apart = squares > _SAME**2 * squares.max().clamp_min(
        1e-30
    )  # the direction of next to nothing has a slope of 1 / it
    towards = differences * apart / torch.where(apart, squares, 1.0).sqrt()
    return towards @ towards.transpose(1, 2)
