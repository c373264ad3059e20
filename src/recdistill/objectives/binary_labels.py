"""Binary soft labels: every listed item on its own."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .lists import ListConfig, ListObjective
from .lists.comparisons import Odds
from .lists.samplers import Beside, Top, Unlisted

__all__ = ["BinaryLabels"]


class BinaryLabels(ListConfig):
    """``−q log σ(z) − (1 − q) log(1 − σ(z))`` with ``q = σ(log(n p) / T)``, mean over the teacher's first ``k``.

    The counterpart of ``soft-labels`` for students trained pointwise, by logistic loss. ``log(n p)`` is the teacher's
    log-odds of the item against the uniform distribution over the n items: q is 1/2 for an item as likely as any.
    Without ``unlisted`` items there is nothing to push down.
    """

    name: ClassVar[str] = "binary-labels"

    k: int | None = Field(None, ge=1, description="use only so many items of each list")
    unlisted: int = Field(50, ge=0, description="uniformly sampled items that the teacher does not list, beside them")
    temperature: float = Field(1.0, gt=0, description="T of the soft labels")

    def build(self) -> ListObjective:
        pick = Beside(Top(self.k), Unlisted(self.unlisted)) if self.unlisted else Top(self.k)
        return ListObjective(self, pick, Odds(self.temperature))
