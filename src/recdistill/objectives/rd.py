"""Ranking Distillation: the teacher's first items as positives, weighted by place and by what the student misses."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .base import Moment
from .lists import ListConfig, ListObjective
from .lists.comparisons import Labels
from .lists.samplers import Top
from .lists.weights import Discrepancy, Position

__all__ = ["RD", "RDLoss"]


class RD(ListConfig):
    """``confidence · Σ_r w_r · tanh(max(student's rank − r, 0) / discrepancy_scale) · −log σ(z_r)``, the first ``k``.

    ``w_r ∝ exp(−r / position_scale)``, summing to 1, so that the term fades as the student agrees. In the first epochs
    items are weighed by ``w_r`` alone. Tang and Wang 2018, https://arxiv.org/abs/1809.07428, whose λ is
    ``position_scale`` and μ is 1 / ``discrepancy_scale``; all defaults as in their published code, where it weighs as
    much as the task. Variant: they estimate the student's rank from sampled items, here it is counted. There are no
    negatives: the task term must keep scores from growing.
    """

    name: ClassVar[str] = "rd"

    k: int = Field(10, ge=1, description="items of each list that count")
    position_scale: float = Field(1.0, gt=0, description="ranks over which the weight falls by the factor e")
    discrepancy_scale: float | None = Field(
        10.0, gt=0, description="ranks too low for which an item has 76 % of the weight; null: weigh by place only"
    )
    by_place: int = Field(10, ge=0, description="epochs at the beginning in which items are weighed by place only")

    def build(self) -> RDLoss:
        return RDLoss(self)


class RDLoss(ListObjective):
    """The term described by :class:`RD`.

    Args:
        config: Its parameters.
    """

    config: RD

    def __init__(self, config: RD) -> None:
        self.place = Position(config.position_scale)
        missed = [] if config.discrepancy_scale is None else [Discrepancy(config.discrepancy_scale, fades=True)]
        super().__init__(config, Top(config.k), Labels(), self.place, *missed)
        self.both = self.weigh

    def begin(self, moment: Moment) -> float:
        self.weigh = self.both if moment.epoch > self.config.by_place else (self.place,)
        return super().begin(moment)
