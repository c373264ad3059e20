"""Candidates ranked for a history."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ....data.dataset import Split
from ....errors import ConfigError, TeacherError
from ....knowledge import Knowledge, RankingsWriter, rankings_of_candidates
from ..asked import Asked
from ..candidates.base import Items
from ..exchange import Capabilities, Reply, Request
from ..reading import LETTERS, choice_of, order_of
from .base import Answers, Place, batched
from .contexts import CandidatesTask, ContextJob
from .places import without_places

__all__ = ["Listwise", "ListwiseJob"]

Doubles = npt.NDArray[np.float64]
_LEAST_MASS = 1e-3
"""Probability of all letters together below which a model is taken to have answered something else."""


class Listwise(CandidatesTask):
    """Which of some lettered candidates comes next.

    With log-probabilities one token is enough: the probabilities of the letters are those of the items. Without them
    the model writes the order of all letters; what it leaves out follows, what it makes up is dropped, and an item on
    rank r gets a probability proportional to 1 / r. Candidates are shuffled, in each of ``orders`` anew, and answers
    are averaged: so a model's liking for a place is no liking for an item. What a letter gets on average over all
    questions is taken off as well (``calibrate_places``), see :func:`~.places.without_places`.

    The confidence of a list is the probability that went to any letter (or the share of letters that were named), times
    how much the orders agree: one minus the Jensen-Shannon divergence of their answers over its largest value.
    """

    name: ClassVar[str] = "listwise"

    answer: Literal["auto", "letters", "order"] = Field(
        "auto",
        description="letters: by log-probabilities; order: all letters written; auto: letters if they can be had",
    )
    orders: int = Field(1, ge=1, description="different orders in which the candidates are shown")
    calibrate_places: bool = Field(
        True, description="letters: take off what each place gets on average, as far as that is not chance"
    )
    rest: float = Field(
        0.1, gt=0, lt=1, description="probability that is left for all items which are no candidates together"
    )

    def job(self, split: Split, knowledge: Knowledge, capabilities: Capabilities) -> ListwiseJob:
        asked, candidates = self.drawn(split, knowledge)
        return ListwiseJob(self, split, asked, candidates, capabilities)

    def mode(self, capabilities: Capabilities) -> Literal["letters", "order"]:
        """How the model answers.

        Raises:
            TeacherError: Letters are wanted, and there are no log-probabilities.
        """
        enough = capabilities.top_logprobs >= min(5, self.candidates.n)
        if self.answer == "letters" and not enough:
            hint = "use answer: order, or a server that gives them"
            raise TeacherError("gives no log-probabilities", where=capabilities.model, hint=hint)
        return "letters" if enough and self.answer != "order" else "order"


class ListwiseJob(ContextJob):
    """The questions of :class:`Listwise`; number = context · orders + order.

    Args:
        task: Its parameters.
        split: The data.
        asked: The contexts.
        candidates: int32 ``[contexts, n]``, -1 = none.
        capabilities: What the model can do.
    """

    label = "rank candidates"

    def __init__(
        self, task: Listwise, split: Split, asked: Asked, candidates: Items, capabilities: Capabilities
    ) -> None:
        super().__init__(task, split, asked)
        self.task, self.candidates = task, candidates
        if candidates.shape[1] > len(LETTERS):
            what = f"{candidates.shape[1]} candidates, there are {len(LETTERS)} letters"
            raise ConfigError(what, key=("candidates", "n"), hint=f"ask about {len(LETTERS)} at most")
        self.letters = task.mode(capabilities) == "letters"
        self.top = capabilities.top_logprobs if self.letters else 0
        self.prompt = task.load_prompt("listwise-letter" if self.letters else "listwise-order")
        self.prompt.check({"history", "candidates"} if self.letters else {"history", "candidates", "n"})

    @property
    def reminder(self) -> str:
        return self.prompt.reminder(n=str(self.candidates.shape[1]))

    def __len__(self) -> int:
        return len(self.asked) * self.task.orders

    def shown(self, number: int) -> Items:
        """The candidates in the order in which a question shows them."""
        context, order = divmod(number, self.task.orders)
        known = self.known(self.candidates[context])
        seed = [self.task.seed, order, int(self.asked.positions[context]) + 1, *known[:4].tolist()]
        return np.random.default_rng(seed).permutation(known)

    def request(self, number: int) -> Request | None:
        history, shown = self.history(number // self.task.orders), self.shown(number)
        if not history or len(shown) < 2:
            return None
        lines = "\n".join(f"{LETTERS[place]}. {self.texts[item]}" for place, item in enumerate(shown.tolist()))
        tokens = 1 if self.letters else 4 * len(shown)
        return self.chat(tokens, self.top, history=history, candidates=lines, n=str(len(shown)))

    def readable(self, number: int, reply: Reply) -> bool:
        return self.probabilities(number, reply) is not None

    def probabilities(self, number: int, reply: Reply) -> tuple[Items, Doubles, float] | None:
        """What an answer says: items in the order shown, their probabilities, and how much of it was said at all."""
        shown = self.shown(number)
        if self.letters:
            found = choice_of(reply, LETTERS[: len(shown)])
            return None if found is None or found[1] < _LEAST_MASS else (shown, np.exp(found[0]), found[1])
        order = order_of(reply.text, len(shown))
        if order is None:
            return None
        p = np.empty(len(shown))
        p[order[0]] = 1 / np.arange(1, len(shown) + 1)
        return shown, p / p.sum(), order[1] / len(shown)

    def write(self, answers: Answers, place: Place) -> dict[str, Any]:
        n = self.candidates.shape[1]
        writer = RankingsWriter(
            Path(place.path) / "rankings", teacher=place.teacher, teacher_fingerprint=place.fingerprint,
            split_fingerprint=self.split.fingerprint, rows=self.split.train.n_positions, k=n,
            n_items=self.split.n_items, contexts=self.task.at, prompt_hash=self.prompt.digest,
            meaning="log-probability of the item as next event, under a language model that chose among candidates",
        )  # fmt: skip
        answered = 0
        said, sure = self._read(answers)
        fair = without_places(said) if self.letters and self.task.calibrate_places else said
        with writer:
            for batch in batched(range(len(self.asked)), 4096):
                contexts = np.array(batch, dtype=np.int64)
                items, p, confidence = self._lists(batch, said, fair, sure)
                answered += int((confidence > 0).sum())
                rows = self.asked.positions[contexts]
                with np.errstate(divide="ignore"):
                    logp = np.log(p) + np.log1p(-self.task.rest)
                rest = np.full(len(rows), self.task.rest)
                lists = rankings_of_candidates(items, logp, rest, self.split.n_items, confidence)
                left = ~writer.done[rows]
                if left.any():
                    writer.add(rows[left], lists.take(np.flatnonzero(left)))
        writer.seal(answers=answered)
        return {"contexts": len(self.asked), "lists": answered, "answered by": "letters" if self.letters else "order"}

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
        n, orders = self.candidates.shape[1], self.task.orders
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
