"""Candidates ranked by how likely their titles are to go on a history."""

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
from .rankings import Doubles, RankingJob, RankingTask

__all__ = ["Likelihood", "LikelihoodJob"]

_CANDIDATE = "{candidate}"


class Likelihood(RankingTask):
    """How likely a model finds the title of each candidate as the continuation of a history.

    The model is asked for nothing: it reads the titles of the history and then that of a candidate, and the log-
    probabilities of the candidate's tokens are its score. So a small model that cannot answer a question, and one that
    was never tuned to answer any, still says what it knows. No candidate sees another, so there are no places that
    could be liked. One question carries all candidates of a history.

    With ``c`` a title and ``h`` the text before it the score is ``log p(c | h) − prior · log p(c | h₀)``, where ``h₀``
    is the same text without the history; ``prior: 1`` is domain-conditional pointwise mutual information (Holtzman et
    al. 2021, https://arxiv.org/abs/2104.08315). The probabilities are the softmax of ``score / temperature`` over the
    candidates. Without a prior a title also scores by its fame. Zero-shot ranking by likelihood: Sileo et al. 2022
    (https://arxiv.org/abs/2112.04184). The confidence of a list is 1.
    """

    name: ClassVar[str] = "likelihood"

    prior: float = Field(
        0.5, ge=0, le=1, description="weight of the log-probability without a history, which is taken off"
    )
    length: Literal["sum", "mean"] = Field(
        "mean", description="sum: log-probability of the whole title; mean: of its tokens on average"
    )
    temperature: float = Field(0.65, gt=0, description="by which scores are divided")

    def job(self, split: Split, knowledge: Knowledge, capabilities: Capabilities) -> LikelihoodJob:
        asked, candidates = self.drawn(split, knowledge)
        return LikelihoodJob(self, split, asked, candidates, capabilities)


class LikelihoodJob(RankingJob):
    """The questions of :class:`Likelihood`, one for each context.

    Args:
        task: Its parameters.
        split: The data.
        asked: The contexts.
        candidates: int32 ``[contexts, n]``, -1 = none.
        capabilities: What the model can do.
    """

    meaning = "log-probability of the item as next event, by the likelihood of its title after those of the history"
    answered_by = "likelihood"

    def __init__(
        self, task: Likelihood, split: Split, asked: Asked, candidates: Items, capabilities: Capabilities
    ) -> None:
        super().__init__(task, split, asked, candidates, 1)
        if not capabilities.likelihood:
            hint = "use backend: {type: transformers}, a server of vLLM or SGLang, or task: {type: listwise}"
            raise TeacherError("does not say how likely it finds a text", where=capabilities.model, hint=hint)
        self.task = task
        self.prompt = task.load_prompt()
        self.prompt.check({"history", "candidate"})
        self._check_parts()

    def _check_parts(self) -> None:
        where, (before, after) = self.prompt.name, _around(self.prompt.user)
        if self.prompt.system or "{history}" not in before:
            hint = "give it a user part only, with {history} before {candidate}"
            raise ConfigError("is no text that a title goes on", where=where, hint=hint)
        if not self.task.prior:
            return
        if _CANDIDATE not in self.prompt.without or _around(self.prompt.without)[1] != after:
            hint = "add '--- without' and the text without {history}, which ends alike, or use prior: 0"
            raise ConfigError("does not say what is asked without a history", where=where, hint=hint)

    def shown(self, number: int) -> Items:
        return np.sort(self.known(self.candidates[number]))

    def request(self, number: int) -> Request | None:
        history, shown = self.titles(number), self.shown(number)
        if not history or len(shown) < 2:
            return None
        user, after = _around(self.prompt.user)
        prefixes = [self.prompt.filled(user, history=self.prompt.joined.join(history))]
        if self.task.prior:
            prefixes.append(_around(self.prompt.without)[0])
        texts = [self.texts[item] + after for item in shown.tolist()]
        return Request("likelihood", {"prefixes": prefixes, "continuations": texts}, self.prompt.digest)

    def probabilities(self, number: int, reply: Reply) -> tuple[Items, Doubles, float] | None:
        shown, numbers = self.shown(number), reply.numbers
        prefixes = 2 if self.task.prior else 1
        if numbers is None or len(numbers) != prefixes * len(shown) * 2 or not np.isfinite(numbers).all():
            return None
        logp, tokens = np.moveaxis(numbers.reshape(prefixes, len(shown), 2).astype(np.float64), 2, 0)
        if (tokens < 1).any():
            return None
        values = logp / tokens if self.task.length == "mean" else logp
        scores = (values[0] - self.task.prior * values[-1] if self.task.prior else values[0]) / self.task.temperature
        return shown, np.exp(scores - np.logaddexp.reduce(scores)), 1.0


def _around(template: str) -> tuple[str, str]:
    """What stands before the candidate and after it."""
    before, _, after = template.partition(_CANDIDATE)
    return before, after
