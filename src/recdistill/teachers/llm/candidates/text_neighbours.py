"""Items whose texts lie near those of the history."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ....data.dataset import Split
from ....knowledge import Knowledge
from ....models import TextKNN
from .base import Candidates, CandidatesConfig
from .recommender import Ranked

__all__ = ["TextNeighbours"]


class TextNeighbours(CandidatesConfig):
    """Nearest items in the space of a text encoder; no interaction is looked at, so cold items come too."""

    name: ClassVar[str] = "text-neighbours"

    teacher: str = Field(description="id of a teacher above that leaves item embeddings")

    def uses(self) -> tuple[str, ...]:
        return (self.teacher,)

    def prepare(self, split: Split, knowledge: Knowledge) -> Candidates:
        return Ranked(TextKNN(text=self.teacher).build(split, knowledge), self.n)
