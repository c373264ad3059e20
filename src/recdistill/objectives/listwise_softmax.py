"""Listwise softmax: KL divergence inside the list."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .lists import ListConfig, ListObjective
from .lists.comparisons import Softmax
from .lists.samplers import Beside, Top, Unlisted

__all__ = ["ListwiseSoftmax"]


class ListwiseSoftmax(ListConfig):
    """``T² · confidence · Σ p log(p / q)``, p and q the softmaxes of teacher and student over the list only.

    Cao et al. 2007, https://doi.org/10.1145/1273496.1273513. What is not listed is not seen: the task term,
    ``unlisted`` sampled items or the tail of ``soft-labels`` must keep it down. A sampled item is taken to have the
    mean probability of the unlisted ones.
    """

    name: ClassVar[str] = "listwise-softmax"

    k: int | None = Field(None, ge=1, description="use only so many items of each list")
    temperature: float = Field(2.0, gt=0)
    unlisted: int = Field(0, ge=0, description="uniformly sampled items that the teacher does not list, beside them")

    def build(self) -> ListObjective:
        pick = Beside(Top(self.k), Unlisted(self.unlisted)) if self.unlisted else Top(self.k)
        return ListObjective(self, pick, Softmax(self.temperature))
