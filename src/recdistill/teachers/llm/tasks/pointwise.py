"""Whether a candidate suits a history, as a probability."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ....data.dataset import Split
from ....data.sequences import Sequences
from ....knowledge import Knowledge, RankingsWriter, Scores, ScoresWriter, rankings_of_candidates
from ..asked import Asked, without_targets
from ..candidates.base import Items
from ..exchange import Capabilities, Reply, Request
from ..reading import choice_of
from .base import Answers, Place, batched
from .calibration import Line, fit_line
from .contexts import CandidatesTask, ContextJob

__all__ = ["Pointwise", "PointwiseJob"]

Doubles = npt.NDArray[np.float64]
_WORDS = {"en": ("Yes", "No"), "zh": ("是", "否")}
_TOKENS = 8


class Pointwise(CandidatesTask):
    """Whether a candidate will be chosen, each asked by itself.

    The log-odds of Yes against No are calibrated on validation contexts, if some are asked too (``calibrate``): there
    the right item is asked about beside candidates, and a line a · x + b is fitted so that its logistic is the
    probability that the item is the right one (Platt 1999). What is stored about training positions never sees a label.
    """

    name: ClassVar[str] = "pointwise"

    calibrate: int = Field(0, ge=0, description="validation contexts that are asked about for the calibration; 0: none")
    rest: float = Field(
        0.1, gt=0, lt=1, description="probability that is left for all items which are no candidates together"
    )

    def job(self, split: Split, knowledge: Knowledge, capabilities: Capabilities) -> PointwiseJob:
        asked, candidates = self.drawn(split, knowledge)
        checked, items = self._validation(split, knowledge)
        return PointwiseJob(self, split, _joined(asked, checked), [*candidates, *items], len(asked), capabilities)

    def _validation(self, split: Split, knowledge: Knowledge) -> tuple[Asked, list[Items]]:
        """Validation contexts; of each the right item first, then candidates."""
        usable = np.flatnonzero((split.valid.history.lengths > 0) & (split.valid.targets.lengths > 0))
        chosen = np.random.default_rng(self.seed).permutation(usable)[: self.calibrate]
        some = split.valid.take(np.sort(chosen))
        whole = Asked(np.full(len(some), -1, dtype=np.int64), some.users, some.history)
        if not len(some):
            return whole, []
        drawn = self.candidates.prepare(split, knowledge).draw(without_targets(whole), whole.positions, self.seed)
        rows = []
        for row, items in enumerate(drawn):
            right = some.targets[row][:1]
            rows.append(np.concatenate([right, items[(items >= 0) & ~np.isin(items, some.targets[row])]]))
        return Asked(whole.positions, whole.users, whole.history.last(self.history)), rows


class PointwiseJob(ContextJob):
    """The questions of :class:`Pointwise`: one for each context and item, those for the calibration last.

    Args:
        task: Its parameters.
        split: The data.
        asked: The contexts.
        items: Of each context.
        labelled: Contexts from the first on that are stored; the others calibrate.
        capabilities: What the model can do.
    """

    label = "judge candidates"

    def __init__(
        self, task: Pointwise, split: Split, asked: Asked, items: list[Items], labelled: int, capabilities: Capabilities
    ) -> None:
        super().__init__(task, split, asked)
        self.task, self.top, self.labelled = task, capabilities.top_logprobs, labelled
        self.words = _WORDS[task.language]
        self.offsets = np.cumsum([0, *(len(row) for row in items)])
        self.items = np.concatenate(items).astype(np.int32)
        self.context = np.repeat(np.arange(len(items)), [len(row) for row in items])
        self.prompt = task.load_prompt()
        self.prompt.check({"history", "item"})

    def __len__(self) -> int:
        return len(self.items)

    def request(self, number: int) -> Request | None:
        item, history = int(self.items[number]), self.history(int(self.context[number]))
        if item < 0 or not history or not self.texts[item]:
            return None
        return self.chat(1 if self.top else _TOKENS, self.top, history=history, item=self.texts[item])

    def readable(self, number: int, reply: Reply) -> bool:
        return choice_of(reply, self.words) is not None

    def log_odds(self, reply: Reply) -> float | None:
        """Of yes against no, as the model says; None if it says neither."""
        found = choice_of(reply, self.words)
        return None if found is None else float(found[0][0] - found[0][1])

    def write(self, answers: Answers, place: Place) -> dict[str, Any]:
        logits, sure = np.zeros(len(self)), np.zeros(len(self), dtype=np.float32)
        for number, reply in answers:
            found = reply and choice_of(reply, self.words)
            if found:
                logits[number], sure[number] = found[0][0] - found[0][1], found[1]
        line = self._line(logits, sure)
        stored = slice(0, int(self.offsets[self.labelled]))
        values = line.of(logits[stored])
        self._scores(values, sure[stored], place, line)
        return {"contexts": self.labelled, "lists": self._rankings(values, sure[stored], place)} | line.facts()

    def _line(self, logits: Doubles, sure: npt.NDArray[np.float32]) -> Line:
        """The calibration; none without validation contexts."""
        checked = slice(int(self.offsets[self.labelled]), len(self))
        right = np.zeros(len(self))
        right[self.offsets[self.labelled : -1]] = 1.0
        known = sure[checked] > 0
        return fit_line(logits[checked][known], right[checked][known])

    def _scores(self, values: Doubles, sure: npt.NDArray[np.float32], place: Place, line: Line) -> None:
        how = ", calibrated" if line.fitted else ", as the model says"
        writer = ScoresWriter(
            Path(place.path) / "scores", teacher=place.teacher, teacher_fingerprint=place.fingerprint,
            dataset_fingerprint=self.split.fingerprint, rows=len(values), classes=["chosen"], keyed_by="pair",
            keys=["position", "item"], prompt_hash=self.prompt.digest,
            meaning=f"log-odds that the item is chosen next{how}",
        )  # fmt: skip
        keys = np.stack([self.asked.positions[self.context[: len(values)]], self.items[: len(values)]], axis=1)
        left = np.flatnonzero(~writer.done)
        with writer:
            if len(left):
                scores = Scores(values[:, None].astype(np.float32), sure, keys.astype(np.int32))
                writer.add(left, scores.take(left))
        writer.seal(**line.facts())

    def _rankings(self, values: Doubles, sure: npt.NDArray[np.float32], place: Place) -> int:
        """Lists of the same: the softmax of the log-odds of a context's candidates."""
        n = int(np.diff(self.offsets[: self.labelled + 1]).max(initial=1))
        writer = RankingsWriter(
            Path(place.path) / "rankings", teacher=place.teacher, teacher_fingerprint=place.fingerprint,
            split_fingerprint=self.split.fingerprint, rows=self.split.train.n_positions, k=n,
            n_items=self.split.n_items, contexts=self.task.at, prompt_hash=self.prompt.digest,
            meaning="softmax of the log-odds that a language model gives each candidate",
        )  # fmt: skip
        answered = 0
        with writer:
            for contexts in batched(range(self.labelled), 4096):
                rows = self.asked.positions[contexts]
                items, logp = np.full((len(rows), n), -1, dtype=np.int32), np.full((len(rows), n), -np.inf)
                confidence = np.zeros(len(rows), dtype=np.float32)
                for row, context in enumerate(contexts):
                    part = np.arange(self.offsets[context], self.offsets[context + 1])
                    part = part[sure[part] > 0]
                    if len(part):
                        items[row, : len(part)], logp[row, : len(part)] = self.items[part], values[part]
                        confidence[row] = sure[part].mean()
                answered += int((confidence > 0).sum())
                with np.errstate(invalid="ignore"):
                    logp -= np.logaddexp.reduce(logp, axis=1, keepdims=True)
                rest = np.full(len(rows), self.task.rest)
                logp = np.nan_to_num(logp, nan=-np.inf) + np.log1p(-self.task.rest)
                lists = rankings_of_candidates(items, logp, rest, self.split.n_items, confidence)
                left = ~writer.done[rows]
                if left.any():
                    writer.add(rows[left], lists.take(np.flatnonzero(left)))
        writer.seal(answers=answered)
        return answered


def _joined(a: Asked, b: Asked) -> Asked:
    lists = [a.history[row] for row in range(len(a))] + [b.history[row] for row in range(len(b))]
    positions = np.concatenate([a.positions, b.positions])
    return Asked(positions, np.concatenate([a.users, b.users]), Sequences.from_lists([row.tolist() for row in lists]))
