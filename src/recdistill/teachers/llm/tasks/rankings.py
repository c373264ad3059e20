"""Tasks whose answers become rankings: probabilities of candidates, from one question about a history or several."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ....data.dataset import Split
from ....knowledge import RankingsWriter, rankings_of_candidates
from ..asked import Asked
from ..candidates.base import Items
from ..exchange import Reply
from .base import Answers, Place, batched
from .contexts import CandidatesTask, ContextJob

__all__ = ["Doubles", "RankingJob", "RankingTask"]

Doubles = npt.NDArray[np.float64]


class RankingTask(CandidatesTask):
    """Parameters of a task whose answers become rankings."""

    rest: float = Field(
        0.1, gt=0, lt=1, description="probability that is left for all items which are no candidates together"
    )


class RankingJob(ContextJob):
    """Questions whose answers are probabilities of candidates; number = context · orders + order.

    Args:
        task: Its parameters.
        split: The data.
        asked: The contexts.
        candidates: int32 ``[contexts, n]``, -1 = none.
        orders: Questions about each context.

    Attributes:
        meaning: What a score of the store means.
        answered_by: How the model answers.
    """

    label = "rank candidates"
    meaning: str
    answered_by: str

    def __init__(self, task: RankingTask, split: Split, asked: Asked, candidates: Items, orders: int) -> None:
        super().__init__(task, split, asked)
        self.at, self.rest, self.candidates, self.orders = task.at, task.rest, candidates, orders

    def __len__(self) -> int:
        return len(self.asked) * self.orders

    @abstractmethod
    def shown(self, number: int) -> Items:
        """The candidates in the order in which a question shows them."""

    @abstractmethod
    def probabilities(self, number: int, reply: Reply) -> tuple[Items, Doubles, float] | None:
        """What an answer says: items in the order shown, their probabilities, and how much of it was said at all."""

    def corrected(self, said: Doubles) -> Doubles:
        """Probabilities without what they owe to the way of asking: float64 ``[questions, n]``, in the order shown."""
        return said

    def readable(self, number: int, reply: Reply) -> bool:
        return self.probabilities(number, reply) is not None

    def write(self, answers: Answers, place: Place) -> dict[str, Any]:
        n = self.candidates.shape[1]
        writer = RankingsWriter(
            Path(place.path) / "rankings", teacher=place.teacher, teacher_fingerprint=place.fingerprint,
            split_fingerprint=self.split.fingerprint, rows=self.split.train.n_positions, k=n,
            n_items=self.split.n_items, contexts=self.at, prompt_hash=self.prompt.digest,
            meaning=self.meaning,
        )  # fmt: skip
        answered = 0
        said, sure = self._read(answers)
        fair = self.corrected(said)
        with writer:
            for batch in batched(range(len(self.asked)), 4096):
                contexts = np.array(batch, dtype=np.int64)
                items, p, confidence = self._lists(batch, said, fair, sure)
                answered += int((confidence > 0).sum())
                rows = self.asked.positions[contexts]
                with np.errstate(divide="ignore"):
                    logp = np.log(p) + np.log1p(-self.rest)
                rest = np.full(len(rows), self.rest)
                lists = rankings_of_candidates(items, logp, rest, self.split.n_items, confidence)
                left = ~writer.done[rows]
                if left.any():
                    writer.add(rows[left], lists.take(np.flatnonzero(left)))
        writer.seal(answers=answered)
        return {"contexts": len(self.asked), "lists": answered, "answered by": self.answered_by}

    def _read(self, answers: Answers) -> tuple[Doubles, Doubles]:
        """Probabilities in the order shown, ``[questions, n]``, and how much was said; NaN where nothing was."""
        said, sure = np.full((len(self), self.candidates.shape[1]), np.nan), np.full(len(self), np.nan)
        for number, reply in answers:
            found = reply and self.probabilities(number, reply)
            if found:
                said[number, : len(found[0])], sure[number] = found[1], found[2]
        return said, sure

    def _lists(
        self, contexts: list[int], said: Doubles, fair: Doubles, sure: Doubles
    ) -> tuple[Items, Doubles, npt.NDArray[np.float32]]:
        """Items, probabilities and confidence of some contexts."""
        n, orders = self.candidates.shape[1], self.orders
        items, p = np.full((len(contexts), n), -1, dtype=np.int32), np.zeros((len(contexts), n))
        confidence = np.zeros(len(contexts), dtype=np.float32)
        for row, context in enumerate(contexts):
            asked = range(context * orders, (context + 1) * orders)
            answered = [number for number in asked if not np.isnan(sure[number])]
            if answered:
                known = np.sort(self.known(self.candidates[context]))
                # of each order, where the items stood, by item
                places = np.array([np.argsort(self.shown(number)) for number in answered])
                raw, even = (np.take_along_axis(values[answered], places, axis=1) for values in (said, fair))
                items[row, : len(known)], p[row, : len(known)] = known, even.mean(axis=0)
                confidence[row] = sure[answered].mean() * _agreement(raw, raw.mean(axis=0))
        return items, p, confidence


def _agreement(p: Doubles, mean: Doubles) -> float:
    """One minus the Jensen-Shannon divergence of the rows over the largest that so many rows can have."""
    if len(p) == 1:
        return 1.0
    divergence = (p * np.log(np.maximum(p, 1e-12) / np.maximum(mean, 1e-12))).sum(axis=1).mean()
    return float(np.clip(1 - divergence / np.log(len(p)), 0.0, 1.0))
