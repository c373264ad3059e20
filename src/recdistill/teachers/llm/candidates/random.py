"""Any items, each as likely."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ....data.dataset import Contexts, Split
from ....knowledge import Knowledge
from .base import Candidates, CandidatesConfig, Ints, Items, generator

__all__ = ["Pool", "RandomCandidates"]


class RandomCandidates(CandidatesConfig):
    """Items drawn from the whole catalogue without those of the history."""

    name: ClassVar[str] = "random"

    def prepare(self, split: Split, knowledge: Knowledge) -> Candidates:
        return Pool(np.arange(split.n_items, dtype=np.int32), self.n)


class Pool(Candidates):
    """Draws from some items.

    Args:
        items: int32 ``[any]``, all different.
        n: Items for each context.
    """

    def __init__(self, items: Items, n: int) -> None:
        self.items, self.n = items, n

    def draw(self, contexts: Contexts, positions: Ints, seed: int) -> Items:
        out = np.full((len(contexts), self.n), -1, dtype=np.int32)
        for row in range(len(contexts)):
            history = contexts.history[row]
            rng = generator(seed, int(positions[row]), history)
            wanted = min(
                len(self.items), self.n + len(np.unique(history))
            )  # so many that enough are not of the history
            drawn = self.items[rng.choice(len(self.items), wanted, replace=False, shuffle=True)]
            kept = drawn[~np.isin(drawn, history)][: self.n]
            out[row, : len(kept)] = kept
        return out
