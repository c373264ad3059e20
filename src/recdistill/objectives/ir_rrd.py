"""Item-side ranking regularisation: for an item, the users in the teacher's order."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .lists.comparisons import ListMLE
from .lists.item_side import ItemSide, ItemSideConfig
from .lists.samplers import Beside, ByRank, Unlisted

__all__ = ["IRRRD"]


class IRRRD(ItemSideConfig):
    """The loss of ``rrd`` with users and items exchanged, to be used beside it: together they are IR-RRD.

    For an item, ``k`` interesting users are drawn by ``exp(−rank / scale)`` from those to whom the teacher recommends
    it and keep its order; ``uninteresting`` ones, to whom it does not, shall be below them. It keeps a small student
    from fitting single lists by heart. Kang et al. 2021, https://doi.org/10.1016/j.ins.2021.08.060; k, uninteresting
    and scale as in their published code, where it weighs half as much as ``rrd``. Variant: users are those of the step,
    ranked by the stored lists; in their code every item that ``rrd`` has drawn is asked for.
    """

    name: ClassVar[str] = "ir-rrd"

    k: int = Field(20, ge=1, description="interesting users of an item")
    uninteresting: int = Field(20, ge=1, description="uninteresting users of an item")
    scale: float = Field(10.0, gt=0, description="ranks over which the probability to be drawn falls by e")

    def build(self) -> ItemSide:
        return ItemSide(self, Beside(ByRank(self.k, self.scale), Unlisted(self.uninteresting)), ListMLE())
