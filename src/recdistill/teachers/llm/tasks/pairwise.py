"""Which of two candidates suits a history better."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ....data.dataset import Split
from ....knowledge import Knowledge, Preferences, PreferencesWriter
from ..asked import Asked
from ..candidates.base import Items
from ..exchange import Capabilities, Reply, Request
from ..reading import LETTERS, choice_of
from .base import Answers, Latest, Place, batched, grouped
from .contexts import CandidatesTask, ContextJob

__all__ = ["Pairwise", "PairwiseJob"]

_TOKENS = 8
"""Of an answer without log-probabilities."""


class Pairwise(CandidatesTask):
    """Which of two candidates comes next, for pairs drawn from the candidates.

    Each pair is asked in both orders. The margin is the log-odds of the mean of both answers; the confidence is what
    went to A and B at all, times one minus the difference of the two answers: a model that always says A has margin and
    confidence 0 (pairwise ranking prompting, Qin et al. 2024, https://arxiv.org/abs/2306.17563).
    """

    name: ClassVar[str] = "pairwise"

    pairs: int = Field(5, ge=1, description="pairs for each context")

    def job(self, split: Split, knowledge: Knowledge, capabilities: Capabilities) -> PairwiseJob:
        asked, candidates = self.drawn(split, knowledge)
        return PairwiseJob(self, split, asked, candidates, capabilities)


class PairwiseJob(ContextJob):
    """The questions of :class:`Pairwise`; number = (context · pairs + pair) · 2 + whether the order is turned.

    Args:
        task: Its parameters.
        split: The data.
        asked: The contexts.
        candidates: int32 ``[contexts, n]``, -1 = none.
        capabilities: What the model can do.
    """

    label = "compare candidates"

    def __init__(
        self, task: Pairwise, split: Split, asked: Asked, candidates: Items, capabilities: Capabilities
    ) -> None:
        super().__init__(task, split, asked)
        self.task, self.candidates, self.top = task, candidates, capabilities.top_logprobs
        self._pairs = Latest(self._drawn)
        self.prompt = task.load_prompt()
        self.prompt.check({"history", "first", "second"})

    def __len__(self) -> int:
        return len(self.asked) * self.task.pairs * 2

    def pairs_of(self, context: int) -> npt.NDArray[np.int32]:
        """The pairs of a context, different ones: int32 ``[pairs at most, 2]``."""
        return self._pairs(context)

    def _drawn(self, context: int) -> npt.NDArray[np.int32]:
        known = self.known(self.candidates[context])
        first, second = np.triu_indices(len(known), 1)
        seed = [self.task.seed, int(self.asked.positions[context]) + 1, *known[:4].tolist()]
        rng = np.random.default_rng(seed)
        drawn = rng.permutation(len(first))[: self.task.pairs]
        return np.stack([known[first[drawn]], known[second[drawn]]], axis=1)

    def request(self, number: int) -> Request | None:
        pair, turned = divmod(number, 2)
        context, place = divmod(pair, self.task.pairs)
        history, pairs = self.history(context), self.pairs_of(context)
        if not history or place >= len(pairs):
            return None
        first, second = pairs[place].tolist()[:: -1 if turned else 1]
        tokens = 1 if self.top else _TOKENS
        return self.chat(tokens, self.top, history=history, first=self.texts[first], second=self.texts[second])

    def readable(self, number: int, reply: Reply) -> bool:
        return choice_of(reply, LETTERS[:2]) is not None

    def write(self, answers: Answers, place: Place) -> dict[str, Any]:
        m = self.task.pairs
        writer = PreferencesWriter(
            Path(place.path) / "preferences", teacher=place.teacher, teacher_fingerprint=place.fingerprint,
            split_fingerprint=self.split.fingerprint, rows=self.split.train.n_positions, pairs=m,
            n_items=self.split.n_items, prompt_hash=self.prompt.digest,
            meaning="log-odds that a language model prefers the first item, mean of both orders of the pair",
        )  # fmt: skip
        answered = 0
        with writer:
            for batch in batched(grouped(answers, 2 * m), 4096):
                rows = self.asked.positions[np.array([context for context, _ in batch], dtype=np.int64)]
                found = self._preferences(batch)
                answered += int((found.better >= 0).sum())
                left = ~writer.done[rows]
                if left.any():
                    writer.add(rows[left], found.take(np.flatnonzero(left)))
        writer.seal(answers=answered)
        return {"contexts": len(self.asked), "pairs": answered}

    def _preferences(self, batch: list[tuple[int, list[Reply | None]]]) -> Preferences:
        out = Preferences.none(len(batch), self.task.pairs)
        for row, (context, replies) in enumerate(batch):
            at = 0
            for (first, second), said in zip(self.pairs_of(context).tolist(), batched(replies, 2), strict=False):
                judged = _judge(*said)
                if judged is not None:
                    p, sure = judged
                    out.better[row, at], out.worse[row, at] = (first, second) if p >= 0.5 else (second, first)
                    out.margin[row, at], out.confidence[row, at] = abs(math.log(p / (1 - p))), sure
                    at += 1
        return out


def _judge(straight: Reply | None, turned: Reply | None) -> tuple[float, float] | None:
    """Probability that the first item of a pair is preferred, and the confidence; None if an order has no answer."""
    a, b = (reply and choice_of(reply, LETTERS[:2]) for reply in (straight, turned))
    if not a or not b:
        return None
    first, second = float(np.exp(a[0][0])), float(np.exp(b[0][1]))
    p = min(max((first + second) / 2, 1e-6), 1 - 1e-6)
    return p, (a[1] + b[1]) / 2 * (1 - abs(first - second))
