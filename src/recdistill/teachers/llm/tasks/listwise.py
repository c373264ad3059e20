"""Candidates ranked for a history."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from ....data.dataset import Split
from ....errors import ConfigError, TeacherError
from ....knowledge import Knowledge
from ..asked import Asked
from ..candidates.base import Items
from ..exchange import Capabilities, Reply, Request
from ..reading import LETTERS, choice_of, order_of
from .base import Latest
from .places import without_places
from .rankings import Doubles, RankingJob, RankingTask

__all__ = ["Listwise", "ListwiseJob"]

_LEAST_MASS = 1e-3
"""Probability of all letters together below which a model is taken to have answered something else."""


class Listwise(RankingTask):
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


class ListwiseJob(RankingJob):
    """The questions of :class:`Listwise`; number = context · orders + order.

    Args:
        task: Its parameters.
        split: The data.
        asked: The contexts.
        candidates: int32 ``[contexts, n]``, -1 = none.
        capabilities: What the model can do.
    """

    meaning = "log-probability of the item as next event, under a language model that chose among candidates"

    def __init__(
        self, task: Listwise, split: Split, asked: Asked, candidates: Items, capabilities: Capabilities
    ) -> None:
        super().__init__(task, split, asked, candidates, task.orders)
        self.task = task
        if candidates.shape[1] > len(LETTERS):
            what = f"{candidates.shape[1]} candidates, there are {len(LETTERS)} letters"
            raise ConfigError(what, key=("candidates", "n"), hint=f"ask about {len(LETTERS)} at most")
        self.letters = task.mode(capabilities) == "letters"
        self.answered_by = "letters" if self.letters else "order"
        self.top = capabilities.top_logprobs if self.letters else 0
        self.prompt = task.load_prompt("listwise-letter" if self.letters else "listwise-order")
        self._orders = Latest(self._order)
        self.prompt.check({"history", "candidates"} if self.letters else {"history", "candidates", "n"})

    def reminder(self, number: int) -> str:
        return self.prompt.reminder(n=str(len(self.shown(number))))

    def shown(self, number: int) -> Items:
        return self._orders(number)

    def _order(self, number: int) -> Items:
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

    def probabilities(self, number: int, reply: Reply) -> tuple[Items, Doubles, float] | None:
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

    def corrected(self, said: Doubles) -> Doubles:
        return without_places(said) if self.letters and self.task.calibrate_places else said
