"""Collaborative Distillation: soft pointwise labels on items drawn by rank."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from .lists import ListConfig, ListObjective
from .lists.comparisons import Odds
from .lists.samplers import ByRank, Sampler, StudentTop

__all__ = ["CD"]


class CD(ListConfig):
    """``confidence · mean over k drawn items of −q log σ(z) − (1 − q) log(1 − σ(z))``, ``q = σ(log(n p) / T)``.

    Items are drawn without replacement by ``exp(−rank / scale)``, rank by the teacher's list or, student-guided, by the
    student's present scores, labels left out: there it learns to take back what it wrongly ranks first.
    Lee et al. 2019, https://arxiv.org/abs/1911.05276. Variant: their q is the sigmoid of a teacher's logit; stored
    probabilities have none, so an item's odds against the uniform distribution over the n items take its place, and an
    item that the teacher does not list has the mean probability of those.
    """

    name: ClassVar[str] = "cd"

    guide: Literal["student", "teacher"] = Field("student", description="whose ranking the items are drawn from")
    k: int = Field(30, ge=1, description="items drawn at each position")
    scale: float = Field(20.0, gt=0, description="ranks over which the probability to be drawn falls by the factor e")
    pool: int = Field(100, ge=1, description="length of the student's ranking, if it guides")
    temperature: float = Field(2.0, gt=0, description="T of the soft labels")

    def build(self) -> ListObjective:
        by_teacher = self.guide == "teacher"
        pick: Sampler = ByRank(self.k, self.scale) if by_teacher else StudentTop(self.k, self.pool, self.scale)
        return ListObjective(self, pick, Odds(self.temperature))
