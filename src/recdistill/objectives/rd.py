"""Ranking Distillation: the teacher's first items as positives, weighted by place and by what the student misses."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .lists import ListConfig, ListObjective
from .lists.comparisons import Labels
from .lists.samplers import Top
from .lists.weights import Discrepancy, Position

__all__ = ["RD"]


class RD(ListConfig):
    """``confidence · Σ_r w_r · −log σ(z_r)`` over the teacher's first ``k``, ``w_r`` summing to 1.

    ``w_r ∝ exp(−r / position_scale) · tanh(max(student's rank − r, 0) / discrepancy_scale)``. Tang and Wang 2018,
    https://arxiv.org/abs/1809.07428, whose λ is ``position_scale`` and μ is 1 / ``discrepancy_scale``. Variant: they
    estimate the student's rank from sampled items, here it is counted; and they use the first factor alone for some
    epochs, here both count from the start. There are no negatives: the task term must keep scores from growing.
    """

    name: ClassVar[str] = "rd"

    k: int = Field(10, ge=1, description="items of each list that count")
    position_scale: float = Field(1.0, gt=0, description="ranks over which the weight falls by the factor e")
    discrepancy_scale: float | None = Field(
        10.0, gt=0, description="ranks too low for which an item has 76 % of the weight; null: weigh by place only"
    )

    def build(self) -> ListObjective:
        weights = [] if self.discrepancy_scale is None else [Discrepancy(self.discrepancy_scale)]
        return ListObjective(self, Top(self.k), Labels(), Position(self.position_scale), *weights)
