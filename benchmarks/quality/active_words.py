"""Active labelling against random labelling at equal budget, where a real language model has answered.

What SmolLM2-135M says about a sample of the contexts is known from the part ``rankings``: that is the pool. A choice of
some of them costs what as many questions would. Every choice is made by the student of the first seed before it heard
anything; beside it, for disagreement, stands item-kNN. The weight of the answers is the one by which *random* ones do
best on validation; the best choice is the one with the highest score on validation with the first seed, and the test
part is looked at for that one and random ones only.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from recdistill.knowledge import Knowledge, RankingsWriter
from recdistill.models import ItemKNN, RankingModel
from recdistill.objectives import CrossEntropy, SoftLabels
from recdistill.teachers.llm.selectors.outlook import outlook
from recdistill.training import Fitted, fit

from .active import RANDOM, SCHEMES, selector
from .words import SEEDS, TASK, World, better, chosen, valid

__all__ = ["Answers", "measure"]

BUDGET = 150
"""Contexts that are asked about."""
WEIGHTS = (0.3, 3.0)
"""Of the answers beside the log."""


def measure(data: str) -> dict[str, Any]:
    """All that the part says about one data set.

    Args:
        data: ``movies`` or ``games``.
    """
    pool = Answers(World(data))
    weighed = {str(weight): pool.taught(RANDOM, SEEDS[0], weight) for weight in WEIGHTS}
    pool.weight = float(chosen(weighed))
    tried = {scheme: pool.taught(scheme, SEEDS[0]) for scheme in SCHEMES}
    best = chosen(tried)
    students = {scheme: [pool.taught(scheme, seed).model for seed in SEEDS] for scheme in (best, RANDOM)}
    over = pool.world.gains(students[best], students[RANDOM])
    return {
        "reached": better(over, "all"),
        "best": best,
        "lists": BUDGET,
        "pool": len(pool.positions),
        "weight": pool.weight,
        "tried on validation": {scheme: round(valid(one), 5) for scheme, one in tried.items()},
        f"{best} over {RANDOM}": over,
        f"{best} over the student alone": pool.world.gains(students[best], [one.model for one in pool.world.alone]),
    }


class Answers:
    """What is bought from, and students who learned from parts of it.

    Args:
        world: The data.
    """

    weight = WEIGHTS[0]
    """Of the answers' term."""

    def __init__(self, world: World) -> None:
        self.world = world
        (self.store,) = world.ranked().rankings("llm")
        everywhere = np.arange(world.split.train.n_positions)
        self.positions = everywhere[(self.store.read(everywhere).items >= 0).any(axis=1)]

    @cached_property
    def beside(self) -> RankingModel:
        """Whom the student may disagree with."""
        return fit(ItemKNN(), self.world.split).model

    def taught(self, scheme: str, seed: int, weight: float | None = None) -> Fitted:
        """The student that heard the answers of a choice, too."""
        term = SoftLabels(teacher="llm", weight=self.weight if weight is None else weight)
        return self.world.student(seed, [CrossEntropy(), term], knowledge=self._said(scheme, seed))

    def _chosen(self, scheme: str, seed: int) -> npt.NDArray[np.int64]:
        by, student = selector(scheme), self.world.alone[0].model
        beside = self.beside if "beside" in by.needs() else None
        seen = outlook(student, self.world.split, self.positions, by.needs(), beside=beside)
        return np.sort(self.positions[by.pick(seen, BUDGET, np.random.default_rng(seed))])

    def _said(self, scheme: str, seed: int) -> Knowledge:
        """The store of a choice: random ones are others for every seed."""
        of = seed if scheme == RANDOM else SEEDS[0]
        path = self.world.kept / "chosen" / f"{scheme}-{of}"
        manifest = self.store.manifest
        writer = RankingsWriter(
            path, teacher=manifest.teacher, teacher_fingerprint=manifest.teacher_fingerprint,
            split_fingerprint=manifest.dataset_fingerprint, rows=manifest.rows, k=self.store.k,
            n_items=self.store.n_items, meaning=manifest.meaning, contexts=TASK.at,
        )  # fmt: skip
        with writer:
            rows = self._chosen(scheme, of)
            rows = rows[~writer.done[rows]]
            writer.add(rows, self.store.read(rows))
        return Knowledge((writer.seal(),))
