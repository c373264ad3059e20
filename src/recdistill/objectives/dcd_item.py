"""Dual Correction, item side: to whom the student recommends an item too low, in order and above the contrary."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .lists.comparisons import ListMLE
from .lists.item_side import ItemSide, ItemSideConfig
from .lists.samplers import Beside, Misranked

__all__ = ["DCDItem"]


class DCDItem(ItemSideConfig):
    """The loss of ``dcd`` with users and items exchanged, to be used beside it.

    For an item, users are drawn to whom the student recommends it lower than the teacher does now, and others to whom
    it does so higher, which shall be below them. Lee and Kim 2021, https://arxiv.org/abs/2109.03459. Variant: users are
    those of the step to whom the teacher recommends it.
    """

    name: ClassVar[str] = "dcd-item"

    k: int = Field(40, ge=1, description="users of each kind at most")
    scale: float = Field(10.0, gt=0, description="ranks of discrepancy at which a user has 76 % of the weight")

    def build(self) -> ItemSide:
        pick = Beside(Misranked(self.k, self.scale), Misranked(self.k, self.scale, over=True))
        return ItemSide(self, pick, ListMLE())
