"""Contrastive distillation: a student's vector is nearer to the teacher's of the same thing than of any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ..models.neural import NeuralModel
from .ftd import cosines
from .vectors import Pairs, VectorsConfig, VectorsObjective

__all__ = ["Contrastive", "ContrastiveLoss"]


class Contrastive(VectorsConfig):
    """``−log softmax_j(cos(P s_i, Q t_j) / T)`` at ``j = i``, mean over the users and over the items of a step.

    ``P`` and ``Q`` are linear maps to ``dim`` components, trained along and dropped afterwards. It maximises a lower
    bound of what the two say about each other: CRD (Tian et al. 2020, https://arxiv.org/abs/1910.10699) in the form of
    InfoNCE (van den Oord et al. 2018, https://arxiv.org/abs/1807.03748), with the others of the step as negatives in
    place of a memory of 16,384. Users and items are apart: they are told from their like.
    """

    name: ClassVar[str] = "contrastive"

    dim: int = Field(128, ge=1, description="width of the space in which they are compared")
    temperature: float = Field(0.07, gt=0)

    def build(self) -> ContrastiveLoss:
        return ContrastiveLoss(self)


class ContrastiveLoss(VectorsObjective):
    """The term described by :class:`Contrastive`."""

    config: Contrastive

    def add_parameters(self, model: NeuralModel, widths: Mapping[str, int]) -> None:
        self.of_student = nn.ModuleDict({side: nn.Linear(model.dim, self.config.dim) for side in widths})
        self.of_teacher = nn.ModuleDict({side: nn.Linear(width, self.config.dim) for side, width in widths.items()})

    def compared(self, sides: Mapping[str, Pairs]) -> Tensor:
        losses = []
        for side, pairs in sides.items():
            near = cosines(self.of_student[side](pairs.student), self.of_teacher[side](pairs.teacher))
            itself = torch.arange(len(near), device=near.device)
            losses.append(functional.cross_entropy(near / self.config.temperature, itself))
        return torch.stack(losses).mean()
