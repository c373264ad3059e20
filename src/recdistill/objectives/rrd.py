"""Relaxed Ranking Distillation: the order of interesting items, all of them above uninteresting ones."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .lists import ListConfig, ListObjective
from .lists.comparisons import ListMLE
from .lists.samplers import Beside, ByRank, Unlisted

__all__ = ["RRD"]


class RRD(ListConfig):
    """``confidence · mean_r log(Σ_{j at r or behind} exp z_j + Σ_uninteresting exp z) − z_r``.

    ``k`` interesting items are drawn from the teacher's list without replacement by ``exp(−rank / scale)`` and keep its
    order; ``uninteresting`` ones are drawn uniformly from what is neither listed nor a label, and their order is left
    free. Kang et al. 2020, https://arxiv.org/abs/2012.04357, who add over the interesting items where this takes the
    mean.
    """

    name: ClassVar[str] = "rrd"

    k: int = Field(40, ge=1, description="interesting items (K)")
    uninteresting: int = Field(40, ge=1, description="uninteresting items (L)")
    scale: float = Field(10.0, gt=0, description="ranks over which the probability to be drawn falls by e (T)")

    def build(self) -> ListObjective:
        return ListObjective(self, Beside(ByRank(self.k, self.scale), Unlisted(self.uninteresting)), ListMLE())
