"""Tasks about histories: which are asked about, what is shown of them, and which candidates."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr

from ....data.dataset import Split
from ....errors import TeacherError
from ....knowledge import Knowledge
from ....registry import component_field
from ...out_of_fold import folds_of_users
from ..asked import Asked, asked_at, draw
from ..candidates import CANDIDATES
from ..candidates.base import Candidates, CandidatesConfig, Ints, Items
from ..leaks import check_candidates, check_labels
from .base import ItemTexts, Job, Latest, TaskConfig

__all__ = ["CandidatesTask", "ContextJob", "ContextTask"]

if TYPE_CHECKING:
    Generator = CandidatesConfig
else:
    Generator = component_field(CANDIDATES)


class ContextTask(TaskConfig):
    """Parameters of a task about histories."""

    at: Literal["ends", "events", "all"] = Field(
        "ends", description="where: after each user's last training event, before each event, or both"
    )
    contexts: int | None = Field(1000, ge=1, description="histories asked about, chosen at random; None: all")
    seed: int = Field(0, ge=0, description="of all that is random")
    history: int = Field(10, ge=1, description="newest events of a history that are shown")
    _chosen: Ints | None = PrivateAttr(None)

    def reads_log(self) -> bool:
        return True

    def about(self, positions: Ints) -> Self:
        """The same about some training positions, int64 ``[n]`` ascending, in place of those that it would draw."""
        same = self.replace()
        same._chosen = positions
        return same

    def positions(self, split: Split) -> Ints:
        """The training positions that are asked about, ascending: int64 ``[n]``."""
        if self._chosen is not None:
            return self._chosen
        train = split.train
        start = train.n_events if self.at == "ends" else 0
        stop = train.n_events if self.at == "events" else train.n_positions
        known = np.arange(start, stop)
        known = known[train.events_before(known) > 0]
        if self.contexts is not None and self.contexts < len(known):
            known = np.sort(np.random.default_rng(self.seed).choice(known, self.contexts, replace=False))
        if not len(known):
            raise TeacherError("no training history has an event to ask about", hint="loosen the cleaning or the split")
        return known


class CandidatesTask(ContextTask):
    """Parameters of a task about histories and candidates."""

    candidates: Generator = Field(
        default_factory=lambda: CANDIDATES["recommender"].load()(), description="where the candidates come from"
    )

    def uses(self) -> tuple[str, ...]:
        return self.candidates.uses()

    def drawn(self, split: Split, knowledge: Knowledge) -> tuple[Asked, Items]:
        """The contexts, and candidates for each, drawn from what is before it and checked for leaks.

        Before an event, a generator is used that was fitted to the other half of the users.

        Returns:
            The contexts; int32 ``[contexts, n]``, -1 = none.

        Raises:
            TeacherError: They know what follows.
        """
        asked = asked_at(split.train, self.positions(split), self.history)
        out = np.full((len(asked), self.candidates.n), -1, dtype=np.int32)
        whole = self.candidates.prepare(split, knowledge)
        # at the end of a row nothing follows that a generator could have been fitted to; elsewhere a label does
        folds = np.where(asked.positions < split.train.n_events, folds_of_users(split.n_users, 2)[asked.users], -1)
        for fold in np.unique(folds).tolist():
            prepare = partial(self._prepared, knowledge, fold, whole)
            rows = np.flatnonzero(folds == fold)
            part = asked.take(rows)
            out[rows] = draw(prepare(split), split.train, part.positions, self.seed, self.candidates.n)
            check_labels(prepare, split, part, out[rows], self.history, self.seed)
        check_candidates(split, asked, out)
        return asked, out

    def _prepared(self, knowledge: Knowledge, fold: int, whole: Candidates, split: Split) -> Candidates:
        """Without the users of a fold, for questions about those; the whole if there is none (-1)."""
        if fold < 0:
            return whole
        left_out = folds_of_users(split.n_users, 2) == fold
        return self.candidates.prepare_without(split, left_out, knowledge)


class ContextJob(Job):
    """Questions about histories.

    Args:
        task: What is asked.
        split: The data; only items, and training events before the positions, are shown.
        asked: The contexts.
    """

    def __init__(self, task: ContextTask, split: Split, asked: Asked) -> None:
        self.split, self.asked = split, asked
        self.texts = ItemTexts(split.dataset.items, task)
        self._histories = Latest(self._written, 16)

    def history(self, context: int) -> str:
        """The history on numbered lines, the newest last; empty if nothing is known of its items."""
        return self._histories(context)

    def _written(self, context: int) -> str:
        return "\n".join(f"{number}. {text}" for number, text in enumerate(self.titles(context), 1))

    def titles(self, context: int) -> list[str]:
        """Texts of the items in the history, the newest last."""
        return [text for item in self.asked.history[context].tolist() if (text := self.texts[item])]

    def known(self, items: Items) -> Items:
        """Those of some candidates of which something can be said."""
        return np.array([item for item in items.tolist() if item >= 0 and self.texts[item]], dtype=np.int32)
