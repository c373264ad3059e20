"""A language model on trial: what it says about validation contexts, whose right item is known to us and not to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ...data.dataset import Contexts, Split
from ...errors import KnowledgeError, TeacherError
from ...knowledge import Knowledge
from .asked import Asked, without_targets
from .candidates.base import Ints, Items
from .engine import Asked as Settled
from .engine import replies, run_async
from .exchange import Capabilities, Reply
from .prompts import load_prompt, prompt_names
from .reading import LETTERS, choice_of
from .tasks.base import Job
from .tasks.contexts import CandidatesTask
from .tasks.likelihood import Likelihood, LikelihoodJob
from .tasks.listwise import Listwise, ListwiseJob
from .tasks.pairwise import Pairwise, PairwiseJob
from .tasks.pointwise import Pointwise, PointwiseJob
from .tasks.rankings import RankingJob
from .teacher import LLM, Sitting

__all__ = ["Lists", "Trial", "hold_trial"]

Doubles = npt.NDArray[np.float64]
Lists = Literal["auto", "drawn", "random"]

_LOOKED = 20
"""Contexts that are looked through for each that is wanted, where the generator must have found the right item."""
_FEW = 50
"""Below so many of them random lists are used."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What was offered and what was said.

    Attributes:
        contexts: Validation contexts with their right items; the first of each counts.
        candidates: int32 ``[n, m]``, ascending in a row, -1 = none; the right item is among them.
        right: int64 ``[n]``, its column.
        p: float64 ``[n, orders, m]``, probability of each candidate; NaN where there is no answer.
        places: int64 ``[n, orders, m]``, where each candidate stood, from 0; -1 where that means nothing.
        otherwise: float64 ``[n, m]``, the first order asked in other words; None if there are no other words.
        drawn: Whether the generator itself found the right item; if not, it was put among random others.
        counts: What became of the questions.
        tokens: Read and written for this, now.
        seconds: That it took, now.
    """

    contexts: Contexts
    candidates: Items
    right: Ints
    p: Doubles
    places: Ints
    otherwise: Doubles | None
    drawn: bool
    counts: dict[str, int]
    tokens: tuple[int, int]
    seconds: float


def hold_trial(
    llm: LLM, split: Split, path: str | Path, name: str | None = None, knowledge: Knowledge | None = None,
    contexts: int = 100, orders: int = 3, lists: Lists = "auto", seed: int = 0,
) -> Trial:  # fmt: skip
    """Ask a language model about validation contexts, each in several orders of its candidates.

    Answers are kept in the teacher's journal, and count towards its budget.

    Args:
        llm: A teacher whose task ranks candidates.
        split: The data; the test part is not looked at.
        path: Where its stores will be.
        name: Its name.
        knowledge: Of the teachers that it uses.
        contexts: Validation contexts at most.
        orders: Different orders of each list, where the task shows several items.
        lists: ``drawn``: the generator's own, of contexts whose right item it finds; ``random``: the right item among
            random others; ``auto``: drawn where there are enough of them.
        seed: For contexts, random items and orders.

    Raises:
        TeacherError: The task ranks nothing, nobody can be asked about, or the model cannot be asked.
    """
    task = llm.task
    if not isinstance(task, Listwise | Likelihood | Pairwise | Pointwise):
        what = f"{task.name} does not rank candidates, so nothing says whether it is right"
        raise TeacherError(what, hint="look at some of its answers instead")
    chosen, candidates, drawn = _offered(task, split, knowledge or Knowledge(), contexts, lists, seed)
    right = (candidates == chosen.targets.items[chosen.targets.offsets[:-1]][:, None]).argmax(axis=1)
    trial = _Asking(task, split, chosen, candidates, orders, seed)
    p, places, otherwise, settled = run_async(trial.ask(llm, Path(path), name or llm.name))
    counts = {state: sum(s.counts.get(state, 0) for s in settled) for s in settled for state in s.counts}
    spent = settled[0].spent if len(settled) == 1 else settled[0].spent + settled[1].spent
    tokens = spent.tokens_in, spent.tokens_out
    seconds = sum(s.seconds for s in settled)
    return Trial(chosen, candidates, right, p, places, otherwise, drawn, counts, tokens, seconds)


def _offered(
    task: CandidatesTask, split: Split, knowledge: Knowledge, n: int, lists: Lists, seed: int
) -> tuple[Contexts, Items, bool]:
    """Contexts, their candidates, and whether those are as drawn."""
    rng = np.random.default_rng(seed)
    usable = _usable(split)
    order = rng.permutation(usable)
    if not len(order):
        raise TeacherError("no validation context has both a history and a new right item", hint="loosen the split")
    if lists != "random":
        some = split.valid.take(order[: _LOOKED * n])
        drawn = _drawn(task, split, knowledge, some, seed, needed=lists == "drawn")
        found = np.flatnonzero((drawn == _first(some)[:, None]).any(axis=1))[:n]
        if len(found) >= (min(_FEW, n) if lists == "auto" else 1):
            return _cut(some.take(found), _width(task, drawn[found], _first(some)[found], rng), True)
        if lists == "drawn":
            raise TeacherError("the generator finds the right item of no context", hint="try --lists random")
    some = split.valid.take(order[:n])
    mixed = np.stack([_beside(split, some, row, task.candidates.n, rng) for row in range(len(some))])
    return _cut(some, _width(task, mixed, _first(some), rng), False)


def _drawn(task: CandidatesTask, split: Split, knowledge: Knowledge, some: Contexts, seed: int, needed: bool) -> Items:
    """What the task's generator offers for some contexts; nothing if it only knows training positions."""
    asked = Asked(np.full(len(some), -1, dtype=np.int64), some.users, some.history)
    try:
        generator = task.candidates.prepare(split, knowledge)
        return generator.draw(without_targets(asked), asked.positions, seed)
    except KnowledgeError:
        if needed:
            raise
        return np.full((len(some), task.candidates.n), -1, dtype=np.int32)


def _usable(split: Split) -> Ints:
    """Validation contexts with a history, and a right item that is not of it."""
    valid = split.valid
    known = np.flatnonzero((valid.history.lengths > 0) & (valid.targets.lengths > 0))
    first = valid.targets.items[valid.targets.offsets[known]]
    new = [row for row, item in zip(known.tolist(), first.tolist(), strict=True) if item not in valid.history[row]]
    return np.array(new, dtype=np.int64)


def _first(contexts: Contexts) -> Items:
    return contexts.targets.items[contexts.targets.offsets[:-1]]


def _beside(split: Split, contexts: Contexts, row: int, n: int, rng: np.random.Generator) -> Items:
    """The right item and random others that are neither right nor of the history; -1 where there are no more."""
    taken = np.union1d(contexts.history[row], contexts.targets[row])
    drawn = rng.choice(split.n_items, min(split.n_items, n - 1 + len(taken)), replace=False)
    others = drawn[~np.isin(drawn, taken)][: n - 1]
    out = np.full(n, -1, dtype=np.int32)
    out[: len(others) + 1] = [contexts.targets[row][0], *others]
    return out


def _width(task: CandidatesTask, candidates: Items, right: Items, rng: np.random.Generator) -> Items:
    """All candidates; of a task that compares two, the right item and one other."""
    if not isinstance(task, Pairwise):
        return candidates
    pairs = np.full((len(right), 2), -1, dtype=np.int32)
    for row, item in enumerate(right.tolist()):
        others = candidates[row][(candidates[row] >= 0) & (candidates[row] != item)]
        pairs[row] = item, rng.choice(others) if len(others) else -1
    return pairs


def _cut(contexts: Contexts, candidates: Items, drawn: bool) -> tuple[Contexts, Items, bool]:
    """Candidates by index, so that no place tells anything; -1 last."""
    ordered = np.sort(np.where(candidates < 0, np.iinfo(np.int32).max, candidates), axis=1)
    ordered = np.where(ordered == np.iinfo(np.int32).max, -1, ordered).astype(np.int32)
    return contexts, ordered, drawn


class _Asking:
    """The questions of a trial, and what their answers are as numbers."""

    def __init__(
        self, task: Listwise | Likelihood | Pairwise | Pointwise, split: Split, contexts: Contexts, candidates: Items,
        orders: int, seed: int,
    ) -> None:  # fmt: skip
        self.split, self.candidates = split, candidates
        last = contexts.history.last(task.history)
        self.asked = Asked(np.full(len(contexts), -1, dtype=np.int64), contexts.users, last)
        self.orders = orders if isinstance(task, Listwise) else 2 if isinstance(task, Pairwise) else 1
        self.task = task.replace(seed=seed, **self._changes(task))

    def _changes(self, task: CandidatesTask) -> dict[str, int]:
        return (
            {"orders": self.orders}
            if isinstance(task, Listwise)
            else {"pairs": 1}
            if isinstance(task, Pairwise)
            else {}
        )

    def job(self, capabilities: Capabilities) -> Job:
        """All questions."""
        if isinstance(self.task, Listwise):
            return ListwiseJob(self.task, self.split, self.asked, self.candidates, capabilities)
        if isinstance(self.task, Likelihood):
            return LikelihoodJob(self.task, self.split, self.asked, self.candidates, capabilities)
        if isinstance(self.task, Pairwise):
            return PairwiseJob(self.task, self.split, self.asked, self.candidates, capabilities)
        items = [row[row >= 0] for row in self.candidates]
        return PointwiseJob(self.task, self.split, self.asked, items, len(items), capabilities)

    async def ask(self, llm: LLM, path: Path, name: str) -> tuple[Doubles, Ints, Doubles | None, list[Settled]]:
        """Ask all, then the first orders in other words."""
        async with llm.sitting(path, name, self.job) as sitting:
            first = await sitting.engine().run()
            p, places = self._read(sitting, first)
            job = sitting.job
            other = f"{job.prompt.name}-otherwise"
            if llm.task.prompt is not None or other not in prompt_names():
                return p, places, None, [first]
            job.prompt = load_prompt(other, llm.task.language)
            numbers = np.arange(0, len(job), self.orders) if self.orders > 1 else np.arange(len(job))
            second = await sitting.engine().run(numbers)
            otherwise, _ = self._read(sitting, second)
            return p, places, otherwise[:, 0], [first, second]

    def _read(self, sitting: Sitting, settled: Settled) -> tuple[Doubles, Ints]:
        shape = len(self.candidates), self.orders, self.candidates.shape[1]
        p, places = np.full(shape, np.nan), np.full(shape, -1, dtype=np.int64)
        said = {number: reply for number, reply in replies(sitting.journal, settled) if reply is not None}
        job = sitting.job
        if isinstance(job, PointwiseJob):
            self._pointwise(job, said, p[:, 0])
        else:
            for number, reply in said.items():
                row, order = divmod(number, self.orders)
                found = self._shares(job, number, row, reply)
                if found is not None:
                    columns = np.searchsorted(self._known(row), found[0])
                    p[row, order, columns] = found[1]
                    if not isinstance(job, LikelihoodJob):  # there no candidate sees another
                        places[row, order, columns] = np.arange(len(columns))
        return p, places

    def _known(self, row: int) -> Items:
        """Candidates of a row; ascending, so that a column is found by search."""
        items: Items = self.candidates[row]
        return items[items >= 0]

    @staticmethod
    def _shares(job: Job, number: int, row: int, reply: Reply) -> tuple[Items, Doubles] | None:
        """Items in the order shown, and their probabilities."""
        if isinstance(job, RankingJob):
            found = job.probabilities(number, reply)
            return None if found is None else (found[0], found[1])
        assert isinstance(job, PairwiseJob)
        choice, pairs = choice_of(reply, LETTERS[:2]), job.pairs_of(row)
        if choice is None or not len(pairs):
            return None
        return pairs[0][:: -1 if number % 2 else 1], np.exp(choice[0])

    @staticmethod
    def _pointwise(job: PointwiseJob, said: dict[int, Reply], p: Doubles) -> None:
        """Softmax of the log-odds of the candidates that were judged."""
        for row in range(len(p)):
            part = range(int(job.offsets[row]), int(job.offsets[row + 1]))
            odds = {n - part.start: job.log_odds(said[n]) for n in part if n in said}
            known = {column: value for column, value in odds.items() if value is not None}
            if len(known) == len(part):
                logits = np.array(list(known.values()))
                p[row, list(known)] = np.exp(logits - np.logaddexp.reduce(logits))
