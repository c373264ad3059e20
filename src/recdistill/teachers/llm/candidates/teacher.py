"""The first items of another teacher's stored rankings."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ....data.dataset import Contexts, Split
from ....errors import ConfigError, KnowledgeError
from ....knowledge import Knowledge, RankingsStore
from ...out_of_fold import OUT_OF_FOLD
from .base import Candidates, CandidatesConfig, Ints, Items, first_unseen

__all__ = ["TeacherCandidates"]


class TeacherCandidates(CandidatesConfig):
    """What another teacher ranks first at the same training position."""

    name: ClassVar[str] = "teacher"

    teacher: str = Field(description="id of a teacher above that leaves rankings")

    def uses(self) -> tuple[str, ...]:
        return (self.teacher,)

    def prepare(self, split: Split, knowledge: Knowledge) -> Candidates:
        store = knowledge.rankings(self.teacher)[0]
        if store.manifest.dataset_fingerprint != split.fingerprint:
            raise KnowledgeError("these rankings are for other data", where=store.path, hint="teach again")
        return _Stored(store, self.n)

    def prepare_without(self, split: Split, left_out: npt.NDArray[np.bool_], knowledge: Knowledge) -> Candidates:
        store = knowledge.rankings(self.teacher)[0]
        if not store.manifest.extra.get(OUT_OF_FOLD):
            what = "was fitted to the events that are asked about, and has their labels among its first items"
            raise ConfigError(what, where=self.teacher, hint="use at: ends, or give that teacher folds: 5")
        return _Stored(store, self.n)


class _Stored(Candidates):
    def __init__(self, store: RankingsStore, n: int) -> None:
        self.store, self.n = store, n

    def draw(self, contexts: Contexts, positions: Ints, seed: int) -> Items:
        if (positions < 0).any():
            what = "stored rankings are for training positions, these contexts are others"
            raise KnowledgeError(what, where=self.store.path, hint="use candidates: {type: recommender}")
        return first_unseen(np.asarray(self.store.read(positions).items), contexts.history, self.n)
