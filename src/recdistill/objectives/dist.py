"""DIST: correlate with the teacher instead of matching it."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .lists import ListConfig, ListObjective
from .lists.comparisons import Pearson
from .lists.samplers import Beside, Top, Unlisted

__all__ = ["DIST"]


class DIST(ListConfig):
    """``confidence · (1 − ρ)``, ρ Pearson's correlation of teacher's and student's softmax inside the list.

    A student that cannot be as sure as a much stronger teacher is not punished for it. Huang et al. 2022,
    https://arxiv.org/abs/2205.10536: the inter-class relation. Their second, intra-class term correlates each class
    over the batch; positions rarely share listed items, so it is left out.
    """

    name: ClassVar[str] = "dist"

    k: int | None = Field(None, ge=1, description="use only so many items of each list")
    unlisted: int = Field(50, ge=0, description="uniformly sampled items that the teacher does not list, beside them")
    temperature: float = Field(1.0, gt=0)

    def build(self) -> ListObjective:
        pick = Beside(Top(self.k), Unlisted(self.unlisted)) if self.unlisted else Top(self.k)
        return ListObjective(self, pick, Pearson(self.temperature))
