"""Distillation Experts: several maps from the student's vectors to the teacher's, one chosen for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ..models.neural import NeuralModel
from .base import Moment
from .experts import Experts
from .schedule import Schedule, Weight
from .vectors import Pairs, VectorsConfig, VectorsObjective

__all__ = ["DE", "DELoss"]


class DE(VectorsConfig):
    """``|t − Σ_e z_e f_e(s)|²`` per component, mean over the users and over the items of a step.

    ``s`` and ``t`` are the student's and the teacher's vector of the same user or item, ``f_e`` are experts: small
    networks that are trained along and dropped afterwards, a set for users and one for items. Which of them is used for
    what is learned, by a Gumbel softmax over the teacher's vector whose temperature falls. Kang et al. 2020,
    https://arxiv.org/abs/2012.04357; experts, temperature and draw as in their published code. Variant: means instead
    of sums, and the teacher's vectors are scaled to a mean square of 1, so the weight cannot be taken from there.
    """

    name: ClassVar[str] = "de"

    experts: int = Field(30, ge=1, description="experts for users, and as many for items")
    temperature: Weight = Field(
        Schedule(start=1.0, end=1e-10, shape="decay", epochs=1000), description="of the choice, over the epochs"
    )

    def build(self) -> DELoss:
        return DELoss(self)


class DELoss(VectorsObjective):
    """The term described by :class:`DE`."""

    config: DE
    temperature = 1.0

    def begin(self, moment: Moment) -> float:
        self.temperature = max(self.config.temperature.at(moment.epoch - 1), 1e-10)
        return super().begin(moment)

    def add_parameters(self, model: NeuralModel, widths: Mapping[str, int]) -> None:
        self.experts = nn.ModuleDict({s: Experts(model.dim, n, self.config.experts) for s, n in widths.items()})

    def compared(self, sides: Mapping[str, Pairs]) -> Tensor:
        return reconstruction(self.experts, sides, self.temperature)


def reconstruction(experts: nn.ModuleDict, sides: Mapping[str, Pairs], temperature: float) -> Tensor:
    """Mean squared error of what the experts make of the student's vectors, mean over the sides."""
    errors = [
        functional.mse_loss(experts[side](pairs.student, pairs.teacher, temperature), pairs.teacher)
        for side, pairs in sides.items()
    ]
    return torch.stack(errors).mean()
