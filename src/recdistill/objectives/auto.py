"""Terms that are chosen on validation, among the few that were found to work."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ..errors import ConfigError, KnowledgeError, nearest
from ..knowledge import Knowledge
from .base import Objective, ObjectiveConfig
from .cross_entropy import CrossEntropy
from .embedding_hint import EmbeddingHint
from .hard_labels import HardLabels
from .schedule import Schedule
from .soft_labels import SoftLabels

__all__ = ["TASK", "Auto"]

TASK = "task alone"
"""Name of the candidate that ignores the teacher."""


class Auto(ObjectiveConfig):
    """Let validation choose the terms within a budget of time; it stands alone in a list of objectives.

    Candidates are cross-entropy alone, the teacher's probabilities (``soft-labels`` at T = 1) alone, beside
    cross-entropy, and only in the first epochs, and the teacher's ranks (``hard-labels``); with item embeddings also an
    ``embedding-hint`` beside the probabilities. Which of them is best depends on the student: one of few dimensions
    learns better from ranks, a network from probabilities, and a teacher that is not better than the trained student
    helps at first and hurts in the end (see the methods page of the documentation for the figures).

    The choice is by successive halving (Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943): all candidates
    train for a share of the time, the better half goes on. Cross-entropy alone stays until the end, so that a teacher
    that only makes the first epochs quicker is refused if the budget reaches the last ones. Give it a budget of several
    whole trainings for that.
    """

    name: ClassVar[str] = "auto"

    teacher: str | None = Field(None, description="whose rankings; the last of those who left some if not named")
    minutes: float = Field(10.0, gt=0, description="time of all candidates together; the chosen one then trains on")
    decay: float = Field(20.0, gt=0, description="ranks over which the weight of hard labels falls by the factor e")
    anneal: float = Field(10.0, gt=0, description="epochs after which the teacher of the first epochs is silent")

    @property
    def reads(self) -> tuple[str, ...]:
        return ("rankings",)

    def build(self) -> Objective:
        """Refused: it is replaced by what was chosen before the terms are built."""
        raise ConfigError("auto chooses all terms, so it stands alone", key=("objectives",), hint="remove the others")

    def candidates(self, knowledge: Knowledge) -> dict[str, list[ObjectiveConfig]]:
        """Lists of terms by their names; the plainest first, which wins among equals.

        Raises:
            KnowledgeError: No such teacher left rankings.
        """
        teacher = self._who(knowledge)
        soft = SoftLabels(temperature=1.0, teacher=teacher)
        first = Schedule(start=1.0, end=0.0, shape="linear", epochs=self.anneal)
        found: dict[str, list[ObjectiveConfig]] = {
            TASK: [CrossEntropy()],
            "probabilities": [soft],
            "task and probabilities": [CrossEntropy(weight=0.5), soft.replace(weight=0.5)],
            "task, probabilities at first": [CrossEntropy(), soft.replace(weight=first)],
            "ranks": [HardLabels(k=100, decay=self.decay, teacher=teacher)],
        }
        items = [s for s in knowledge.stores if s.kind == "embeddings" and s.manifest.keyed_by == "item"]
        if items:
            hint = EmbeddingHint(weight=0.2, teacher=items[0].manifest.teacher)
            found["probabilities and embeddings"] = [soft, hint]
        return found

    def _who(self, knowledge: Knowledge) -> str:
        ranked = [store.manifest.teacher for store in knowledge.stores if store.kind == "rankings"]
        if not ranked:
            raise KnowledgeError(
                "no teacher left rankings", hint="auto needs one that ranks: a recommender, an ensemble"
            )
        if self.teacher is not None and self.teacher not in ranked:
            raise KnowledgeError(
                f"no rankings by a teacher called {self.teacher!r}", hint=nearest(self.teacher, ranked)
            )
        return self.teacher or ranked[-1]
