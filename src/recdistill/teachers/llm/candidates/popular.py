"""The most popular items."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ....data.dataset import Contexts, Split
from ....knowledge import Knowledge
from .base import Candidates, CandidatesConfig, Ints, Items, first_unseen

__all__ = ["PopularCandidates"]


class PopularCandidates(CandidatesConfig):
    """The items with most training events, without those of the history."""

    name: ClassVar[str] = "popular"

    def prepare(self, split: Split, knowledge: Knowledge) -> Candidates:
        return _Popular(np.argsort(-split.popularity, kind="stable").astype(np.int32), self.n)


class _Popular(Candidates):
    def __init__(self, order: Items, n: int) -> None:
        self.order, self.n = order, n

    def draw(self, contexts: Contexts, positions: Ints, seed: int) -> Items:
        most = int(contexts.history.lengths.max(initial=0))
        first = self.order[: self.n + most]
        return first_unseen(np.broadcast_to(first, (len(contexts), len(first))), contexts.history, self.n)
