"""Tasks: several things that are predicted from the same histories, each with labels of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ..config import Config
from ..errors import DataError, nearest
from .dataset import Contexts, Dataset, Split
from .sequences import Sequences

__all__ = ["Task"]


class Task(Config):
    """Which events count: as labels in training, and as what is right in validation and test.

    Every event stays in the histories: what somebody viewed says what they will buy. A log with a column of types gives
    ``{types: [buy]}``, one of ratings ``{min_rating: 4}``. A task that names neither has all events.
    """

    name: ClassVar[str] = "task"

    types: tuple[str, ...] = Field((), description="types of events that count; all if empty")
    min_rating: float | None = Field(None, description="ratings that count, from this on; all if null")

    def of(self, split: Split) -> Split:
        """The split as this task sees it: positions, histories and users stay as they are.

        Training events that do not count have weight 0, those that another task had left out count 1. Held-out contexts
        without a target that counts are dropped.

        Args:
            split: Any view of the data, of another task too.

        Raises:
            DataError: The log has no types or no ratings, or no training event counts.
        """
        whole = split.source or split
        if not self.types and self.min_rating is None:
            return whole
        counts = self._counts(whole.dataset, whole.train)
        if not counts.any():
            raise DataError(f"no training event counts for {self.words}", hint="use other types or ratings")
        weights = np.ones(len(counts), np.float32) if whole.train.weights is None else whole.train.weights
        train = replace(whole.train, weights=np.where(counts, weights, np.float32(0)))
        valid, test = (self._held_out(whole.dataset, contexts) for contexts in (whole.valid, whole.test))
        method = f"{whole.method}, {self.words}"
        return Split(whole.dataset, train, valid, test, method, source=whole)

    @property
    def words(self) -> str:
        """For messages: ``types buy, cart``, ``ratings from 4``."""
        parts = [f"types {', '.join(self.types)}"] if self.types else []
        parts += [f"ratings from {self.min_rating:g}"] if self.min_rating is not None else []
        return " and ".join(parts) or "all events"

    def _held_out(self, dataset: Dataset, contexts: Contexts) -> Contexts:
        kept = replace(contexts, targets=contexts.targets.keep(self._counts(dataset, contexts.targets)))
        return kept.take(np.flatnonzero(kept.targets.lengths))

    def _counts(self, dataset: Dataset, events: Sequences) -> npt.NDArray[np.bool_]:
        """Which events count: bool ``[events]``."""
        counts = np.ones(events.n_events, dtype=np.bool_)
        if self.types:
            for kind in self.types:
                if kind not in dataset.types:
                    hint = nearest(kind, dataset.types) or "name its column with columns: {type: …}"
                    raise DataError(f"the log has no events of type {kind!r}", hint=hint)
            if events.types is not None:
                counts &= np.isin(events.types, [dataset.types.index(kind) for kind in self.types])
            elif events.n_events:
                raise DataError("held-out events have no types", hint="use a split of the log itself")
        if self.min_rating is not None:
            if events.ratings is None and events.n_events:
                raise DataError("these events have no ratings", hint="name the column with columns: {rating: …}")
            counts &= True if events.ratings is None else events.ratings >= self.min_rating
        return counts
