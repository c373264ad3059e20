"""Ranking distillation of your own: a sampler, weights and a comparison of your choice."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from .lists import ListConfig, ListObjective
from .lists.comparisons import Comparison, Labels, ListMLE, MarginMSE, Odds, Pearson, RankNet, Softmax
from .lists.samplers import Beside, ByRank, Misranked, Sampler, StudentTop, Top, Unlisted
from .lists.weights import (
    Consistency,
    Discrepancy,
    Position,
    Probability,
    StudentError,
    Trust,
    Unpopularity,
    Weight,
)

__all__ = ["Ranking"]


class Ranking(ListConfig):
    """``confidence · trust · compare(items picked, weights)``: the parts of which the named methods are made.

    ``pick``: the first ``k`` items of the list (*top*); k drawn by the teacher's rank (*rank*), by the student's rank
    among its own best 5 k (*student*), or by how far the student ranks them too low (*underestimated*). ``unlisted``
    sampled items may stand beside them, which shall be below.

    ``weights``, multiplied: *position* ``exp(−rank / scale)``; *probability*, the teacher's inside the list;
    *discrepancy*, ranks the student is too low by; *consistency*, in the student's own first k; *error*, difference of
    the two probabilities; *unpopularity*, ``(1 + events)^−½``.

    ``compare``: pointwise *labels* or *odds*, listwise *softmax* or *list-mle*, pairwise *ranknet* or *margin-mse*, or
    *pearson*. ``trust``: everywhere, where the teacher's list has the label, or where it ranks the label *better* than
    the student does now.
    """

    name: ClassVar[str] = "ranking"

    pick: Literal["top", "rank", "student", "underestimated"] = "top"
    k: int = Field(20, ge=1, description="items picked at each position")
    scale: float = Field(10.0, gt=0, description="ranks: of drawing, of position and discrepancy weights, and of trust")
    unlisted: int = Field(0, ge=0, description="sampled items that the teacher does not list")
    popularity: float = Field(0.0, ge=0, description="they are drawn by popularity to this power")
    weights: tuple[Literal["position", "probability", "discrepancy", "consistency", "error", "unpopularity"], ...] = (
        Field((), description="how much each item counts")
    )
    compare: Literal["labels", "odds", "softmax", "list-mle", "ranknet", "margin-mse", "pearson"] = "list-mle"
    temperature: float = Field(1.0, gt=0)
    trust: Trust = Field("all", description="where the teacher is believed")

    def build(self) -> ListObjective:
        k, scale, t = self.k, self.scale, self.temperature
        samplers: dict[str, Sampler] = {
            "top": Top(k),
            "rank": ByRank(k, scale),
            "student": StudentTop(k, 5 * k, scale),
            "underestimated": Misranked(k, scale),
        }
        weights: dict[str, Weight] = {
            "position": Position(scale),
            "probability": Probability(t),
            "discrepancy": Discrepancy(scale),
            "consistency": Consistency(k),
            "error": StudentError(t),
            "unpopularity": Unpopularity(),
        }
        comparisons: dict[str, Comparison] = {
            "labels": Labels(),
            "odds": Odds(t),
            "softmax": Softmax(t),
            "list-mle": ListMLE(),
            "ranknet": RankNet(),
            "margin-mse": MarginMSE(t),
            "pearson": Pearson(t),
        }
        pick = samplers[self.pick]
        if self.unlisted:
            pick = Beside(pick, Unlisted(self.unlisted, self.popularity))
        chosen = [weights[name] for name in self.weights]
        return ListObjective(self, pick, comparisons[self.compare], *chosen, trust=self.trust, trust_scale=scale)
