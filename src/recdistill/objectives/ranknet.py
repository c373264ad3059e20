"""RankNet: every pair of the list in the teacher's order."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .lists import ListConfig, ListObjective
from .lists.comparisons import RankNet as Pairs
from .lists.samplers import Beside, Top, Unlisted

__all__ = ["RankNet"]


class RankNet(ListConfig):
    """Cross-entropy of ``σ(z_i − z_j)``, mean over the pairs of the teacher's first ``k``; pairs grow with k squared.

    The target is 1 for the better item, or ``σ((s_i − s_j) / T)`` with the teacher's log-probabilities s. Burges et al.
    2005, https://doi.org/10.1145/1102351.1102363.
    """

    name: ClassVar[str] = "ranknet"

    k: int = Field(20, ge=1, description="items of each list that are compared")
    unlisted: int = Field(0, ge=0, description="sampled items that the teacher does not list: below those, not ordered")
    temperature: float | None = Field(None, gt=0, description="T of soft targets; null: only the order counts")

    def build(self) -> ListObjective:
        pick = Beside(Top(self.k), Unlisted(self.unlisted)) if self.unlisted else Top(self.k)
        return ListObjective(self, pick, Pairs(self.temperature))
