"""ListMLE: the likelihood of the teacher's order."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .lists import ListConfig, ListObjective
from .lists.comparisons import ListMLE as Order
from .lists.samplers import Top

__all__ = ["ListMLE"]


class ListMLE(ListConfig):
    """``confidence · mean_r log Σ_{j at r or behind} exp z_j − z_r`` over the teacher's first ``k``.

    Minus the logarithm of the Plackett-Luce probability of the teacher's order (Xia et al. 2008,
    https://doi.org/10.1145/1390156.1390306), by the mean over the places. Scores of the teacher are not used.
    """

    name: ClassVar[str] = "list-mle"

    k: int = Field(20, ge=1, description="items of each list that are ordered")

    def build(self) -> ListObjective:
        return ListObjective(self, Top(self.k), Order())
