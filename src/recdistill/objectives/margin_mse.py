"""Margin-MSE: differences of scores like the teacher's."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .lists import ListConfig, ListObjective
from .lists.comparisons import MarginMSE as Margins
from .lists.samplers import Beside, Top, Unlisted

__all__ = ["MarginMSE"]


class MarginMSE(ListConfig):
    """``((z_i − z_j) − (s_i − s_j) / T)²``, mean over all pairs of the list, s the teacher's log-probabilities.

    Hofstätter et al. 2020, https://arxiv.org/abs/2010.02666, who take one pair for each query. Not blind to scale: T
    says how far apart the student's scores shall be.
    """

    name: ClassVar[str] = "margin-mse"

    k: int = Field(20, ge=1, description="items of each list that are compared")
    unlisted: int = Field(0, ge=0, description="sampled items that the teacher does not list, beside them")
    temperature: float = Field(1.0, gt=0)

    def build(self) -> ListObjective:
        pick = Beside(Top(self.k), Unlisted(self.unlisted)) if self.unlisted else Top(self.k)
        return ListObjective(self, pick, Margins(self.temperature))
