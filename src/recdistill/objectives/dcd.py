"""Dual Correction: what the student ranks too low, in order and above what it ranks too high."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .lists import ListConfig, ListObjective
from .lists.comparisons import ListMLE
from .lists.samplers import Beside, Misranked

__all__ = ["DCD"]


class DCD(ListConfig):
    """The loss of ``rrd`` on items whose rank the student has wrong now.

    ``k`` underestimated items of the teacher's list are drawn by ``tanh(max(student's − teacher's rank, 0) / scale)``
    and keep its order; ``k`` overestimated ones, drawn by the opposite sign, shall be below them. Lee and Kim 2021,
    https://arxiv.org/abs/2109.03459, to be used beside ``rrd`` as there. Variant: ranks are those of the present
    scores, not of the last epoch; both kinds come from the stored list; and only the side of the user (the context) is
    corrected, as a position does not see the other users of an item.
    """

    name: ClassVar[str] = "dcd"

    k: int = Field(40, ge=1, description="items of each kind at most")
    scale: float = Field(10.0, gt=0, description="ranks of discrepancy at which an item has 76 % of the weight")

    def build(self) -> ListObjective:
        pick = Beside(Misranked(self.k, self.scale), Misranked(self.k, self.scale, over=True))
        return ListObjective(self, pick, ListMLE())
