"""Importance-aware ranking distillation of DLLM2Rec: place, confidence and agreement."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from .lists import ListConfig, ListObjective
from .lists.comparisons import Labels
from .lists.samplers import Beside, Top, Unlisted
from .lists.weights import Blend, Consistency, Position, Probability

__all__ = ["DLLM2Rec"]


class DLLM2Rec(ListConfig):
    """``confidence · (Σ_r w_r · −log σ(z_r) + mean over sampled items of −log σ(−z))`` on the teacher's first ``k``.

    ``w_r`` is the blend, made to sum to 1, of ``exp(−r / position_scale)`` and the teacher's probability inside the
    list, which sum to 1 themselves, and of 1 for items in the student's own first ``k``: an LLM is believed where it is
    sure and where the student half agrees. Cui et al. 2024, https://arxiv.org/abs/2405.00338, importance-aware ranking
    distillation; all weights and the blend as in their published code, where it weighs 0.7 beside the task. Variant:
    their confidence is the distance of the generated text to the item, here it is the stored probability; their
    negative has the loss ``−log σ(1 − z)``. The embedding part is ``text`` of a model with ``fusion: sum``.
    """

    name: ClassVar[str] = "dllm2rec"

    k: int = Field(10, ge=1, description="items of each list that count, and length of the student's list")
    position: float = Field(0.3, ge=0, description="weight of the place")
    confidence: float = Field(0.5, ge=0, description="weight of the teacher's probability")
    consistency: float = Field(0.1, ge=0, description="weight of the agreement with the student")
    position_scale: float = Field(1.0, gt=0, description="ranks over which the weight of the place falls by e")
    temperature: float = Field(1.0, gt=0, description="of the teacher's probability inside the list")
    negatives: int = Field(1, ge=0, description="uniformly sampled items that are labelled 0")

    def build(self) -> ListObjective:
        shares = (
            (self.position, Position(self.position_scale)),
            (self.confidence, Probability(self.temperature)),
        )
        pick = Beside(Top(self.k), Unlisted(self.negatives)) if self.negatives else Top(self.k)
        return ListObjective(self, pick, Labels(), Blend(shares, ((self.consistency, Consistency(self.k)),)))
