"""Labelling in rounds: choose contexts, ask about them, let the student learn, and see what that brought.

Below the stage ``rounds/NN`` holds what round NN did, each part written in one piece: ``choice.json`` before anything
is asked, then the answers' store, then the student. So a run that is interrupted goes on in the middle of a round, with
the same contexts; and the journal sees to it that nothing is asked twice.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ...data.dataset import Split
from ...errors import ConfigError, TeacherError
from ...files import read_json, write_json
from ...knowledge import Knowledge, RankingsStore, RankingsWriter
from ...knowledge.manifest import is_sealed
from ...models.base import RankingModel, load_model
from ..cluster import cluster_in_use
from .budget import BudgetSpent
from .candidates import CANDIDATES
from .engine import Asked, replies, run_async
from .exchange import KEY_BYTES
from .journal import Spent
from .selectors.base import Ints
from .selectors.outlook import outlook
from .tasks.base import Place
from .tasks.rankings import RankingTask
from .teacher import LLM, Sitting

__all__ = ["Learn", "Learned", "Round", "label_in_rounds"]

log = logging.getLogger("recdistill")

_NONE_LEFT = "all contexts were asked about"


class Learned(NamedTuple):
    """A student after a round, and its score on validation."""

    model: RankingModel
    score: float


class Learn(Protocol):
    """Trains the student of a round."""

    metric: str
    """What is measured on validation, for example ``ndcg@10``."""

    def __call__(self, said: RankingsStore | None, directory: Path, label: str) -> Learned:
        """Train from the beginning.

        Args:
            said: All that the language model said until now; None: nothing yet, the student alone.
            directory: For what is needed to resume.
            label: Name in the progress line.
        """


@dataclass(frozen=True, slots=True)
class Round:
    """What a round cost and brought.

    Attributes:
        number: From 1.
        by: Name of the selector.
        candidates: Where the candidates came from: the generator's name, or ``student``.
        contexts: Chosen.
        lists: That came of it.
        questions: Asked, whenever that was.
        tokens: Read and written.
        money: That they cost.
        score: Of the student after it, on validation; None: it did not learn from it.
        gain: Score less that after the round before.
    """

    number: int
    by: str
    candidates: str
    contexts: int
    lists: int
    questions: int
    tokens: int
    money: float
    score: float | None
    gain: float | None

    def cost(self, per: str) -> float:
        """In units of ``stop_below``."""
        return {"round": 1.0, "thousand-questions": self.questions / 1000, "money": self.money}[per]


def label_in_rounds(
    llm: LLM, split: Split, path: str | Path, name: str, knowledge: Knowledge, learn: Learn
) -> dict[str, Any]:
    """Ask a language model about contexts that a student chooses, and write the store of all rounds.

    Args:
        llm: A teacher with ``select``.
        split: The data.
        path: Directory; the sealed store lies below it afterwards.
        name: What students call the teacher.
        knowledge: Of the teachers that it uses.
        learn: Trains the student.

    Returns:
        Facts for a report, ``rounds`` among them: one :class:`Round` each, and ``ended``, why there were no more.

    Raises:
        ConfigError: It chooses no contexts.
        TeacherError: The model cannot be asked, too much is left without an answer, or the budget is spent before there
            is any; the same call goes on from there.
    """
    path = Path(path)
    facts = llm.said_before(path, split)
    if facts is None:
        facts = _Rounds(llm, split, path, name, knowledge, learn).run()
        llm.end(path, split, facts)
    _tidy(path)
    return facts


class _Rounds:
    """The state of :func:`label_in_rounds`."""

    def __init__(self, llm: LLM, split: Split, path: Path, name: str, knowledge: Knowledge, learn: Learn) -> None:
        if llm.select is None or not isinstance(llm.task, RankingTask):
            raise ConfigError("chooses no contexts", key=("select",), hint="say how, or call teach")
        self.llm, self.task, self.select = llm, llm.task, llm.select
        self.split, self.path, self.name, self.knowledge, self.learn = split, path, name, knowledge, learn
        self.cluster = cluster_in_use()
        self.asked: list[Ints] = []
        self.stores: list[RankingsStore] = []
        self.students: list[Learned] = []
        self.newest = 0  # the round that the last of them learned after
        self.counts: Counter[str] = Counter()
        self.model, self.spent, self.out_of_budget = "", Spent(), ""

    def run(self) -> dict[str, Any]:
        """All rounds, or what is left of them."""
        pool = self.task.positions(self.split)
        self.students.append(self._learned(0))
        found, ended = list[Round](), f"{self.select.rounds} rounds were wanted"
        for number in range(1, self.select.rounds + 1):
            left = np.setdiff1d(pool, np.concatenate([pool[:0], *self.asked]))
            if not len(left):
                ended = _NONE_LEFT
                break
            found.append(self._round(number, left))
            self._tell(found[-1])
            reason = self._over(found[-1])
            if reason is not None:
                ended = reason
                break
        log.info("%s: no more rounds: %s", self.name, ended)
        store = _join(self.stores, self.path / "rankings")
        return self._facts(found, ended, store)

    def _round(self, number: int, left: Ints) -> Round:
        chosen = self._chosen(number, left)
        task = self._task(number)
        lists, cost = run_async(self._ask(number, task, chosen))
        self.asked.append(chosen)
        score = None
        if lists:
            self.students.append(self._learned(number))
            self.newest, score = number, self.students[-1].score
        gain = None if score is None else score - self.students[-2].score
        source = task.candidates.name if task is self.task else "student"
        money = self.llm.prices.of(cost.sent, cost.tokens_in, cost.tokens_out)
        tokens = cost.tokens_in + cost.tokens_out
        return Round(
            number, self.select.by.name, source, len(chosen), lists, cost.sent, tokens, money, score, gain
        )  # fmt: skip

    def _chosen(self, number: int, left: Ints) -> Ints:
        """The contexts of a round, ascending: as it was written down, or chosen now."""
        file = self._place(number) / "choice.json"
        if not file.is_file():
            by, rng = self.select.by, np.random.default_rng([self.task.seed, number])
            seen = outlook(
                self.students[-1].model, self.split, left, by.needs(), labelled=np.concatenate([left[:0], *self.asked]),
                beside=self._beside(),
            )  # fmt: skip
            rows = by.pick(seen, self.select.per_round, rng)
            write_json(file, {"by": by.name, "positions": np.sort(left[rows]).tolist()})
        written = read_json(file, TeacherError)
        if not isinstance(written, dict) or not isinstance(written.get("positions"), list):
            raise TeacherError("is no choice of contexts", where=file, hint="remove it, and they are chosen again")
        return np.array(written["positions"], dtype=np.int64)

    def _beside(self) -> RankingsStore | RankingModel | None:
        if self.select.against is not None:
            return self.knowledge.rankings(self.select.against)[0]
        return self.students[-2].model if len(self.students) > 1 else None

    def _task(self, number: int) -> RankingTask:
        """The task of a round: on policy, about what the student of the round before ranks first."""
        if not self.select.on_policy or number == 1:
            return self.task
        student = self._place(self.newest) / "student"
        own = CANDIDATES["recommender"].load()(n=self.task.candidates.n, path=student)
        return self.task.replace(candidates=own)

    async def _ask(self, number: int, task: RankingTask, chosen: Ints) -> tuple[int, Spent]:
        """Ask about some contexts and write their store; how many lists came, and what all of it cost."""
        job = partial(task.about(chosen).job, self.split, self.knowledge)
        async with self.llm.sitting(self.path, self.name, job, self.cluster) as sitting:
            sitting.job.label = f"{self.name}, round {number} of {self.select.rounds}"
            try:
                asked = await sitting.ask()
            except BudgetSpent as error:
                asked, self.out_of_budget = _from_journal(sitting), error.what
                if not self.stores and not asked.counts.get("answered"):
                    raise
            else:
                self.llm.see_whether_enough(asked, sitting.journal)
            place = Place(self._place(number) / "answers", self.name, sitting.fingerprint)
            facts = sitting.job.write(replies(sitting.journal, asked), place)
            self.model, self.spent = sitting.backend.capabilities.model, sitting.journal.spent()
            self.counts.update(asked.counts)
            self.stores.append(RankingsStore.open(place.path / "rankings", verify=False))
            return int(facts["lists"]), _cost(sitting, asked)

    def _learned(self, number: int) -> Learned:
        """The student after a round, trained or found; 0 is the student alone."""
        place = self._place(number)
        done = place / "learned.json"
        if not done.is_file():
            said = _join(self.stores, place / "known" / "rankings") if number else None
            after = f"student after round {number}" if number else "student before the first round"
            learned = self.learn(said, place / "fit", f"{self.name}, {after}")
            learned.model.save(place / "student")
            write_json(done, {"score": learned.score})
        return Learned(load_model(place / "student"), float(read_json(done, TeacherError)["score"]))

    def _over(self, last: Round) -> str | None:
        """Why there is no further round, if that is so."""
        least = self.select.stop_below
        if self.out_of_budget:
            return self.out_of_budget
        if least is None or last.gain is None or last.gain >= least * last.cost(self.select.per):
            return None
        per = {"round": "a round", "thousand-questions": "a thousand questions", "money": self.llm.prices.currency}
        what = f"round {last.number} brought {last.gain:+.4f} {self.learn.metric}"
        return f"{what}, less than the {least:g} that {per[self.select.per]} must bring"

    def _tell(self, last: Round) -> None:
        brought = "no list" if last.score is None else f"{self.learn.metric} {last.score:.4f} ({last.gain:+.4f})"
        paid = f", {last.money:.2f} {self.llm.prices.currency}" if last.money else ""
        log.info("%s, round %d: %d contexts by %s, %d lists, %d tokens%s; validation %s", self.name, last.number,
                 last.contexts, last.by, last.lists, last.tokens, paid, brought)  # fmt: skip

    def _facts(self, rounds: Sequence[Round], ended: str, store: RankingsStore) -> dict[str, Any]:
        told: dict[str, Any] = {
            "contexts": sum(r.contexts for r in rounds), "lists": store.manifest.extra["answers"],
            "rounds": [asdict(r) for r in rounds], "ended": ended, "metric": self.learn.metric,
            "alone": self.students[0].score,
        }  # fmt: skip
        return told | self.llm.account(dict(self.counts), self.model, self.spent)

    def _place(self, number: int) -> Path:
        return self.path / "rounds" / f"{number:02d}"


def _join(stores: Sequence[RankingsStore], path: Path) -> RankingsStore:
    """One store of what several rounds said; no context is in two of them."""
    first = stores[0]
    about = first.manifest
    if not is_sealed(path):
        writer = RankingsWriter(
            path, teacher=about.teacher, teacher_fingerprint=about.teacher_fingerprint,
            split_fingerprint=about.dataset_fingerprint, rows=about.rows, k=about.width, n_items=first.n_items,
            meaning=about.meaning, contexts=first.contexts,  # type: ignore[arg-type]  # as it was written
            prompt_hash=about.prompt_hash,
        )  # fmt: skip
        with writer:
            for store in stores:
                rows = np.flatnonzero(store.written & ~writer.done)
                writer.add_records(rows, store.records(rows))
        writer.seal(answers=sum(int(store.manifest.extra["answers"]) for store in stores))
    return RankingsStore.open(path, verify=False)


def _from_journal(sitting: Sitting) -> Asked:
    """All questions of a job that ended early, with what is known of each."""
    again, identity = sitting.teacher.again, sitting.backend.capabilities.identity
    requests = [sitting.job.request(number) for number in range(len(sitting.job))]
    asked = {number: request.key(identity) for number, request in enumerate(requests) if request is not None}
    keys = np.zeros((len(requests), KEY_BYTES), dtype=np.uint8)
    for number, key in asked.items():
        keys[number] = np.frombuffer(key, dtype=np.uint8)
    known = sitting.journal.known(sorted(set(asked.values())))
    settled = [key in known and again.settled(known[key]) for key in asked.values()]
    states = [str(known[key].state) if done else "open" for key, done in zip(asked.values(), settled, strict=True)]
    counts = Counter(states) + Counter(empty=len(requests) - len(asked))
    return Asked(np.arange(len(keys)), keys, dict(counts), Spent(), 0.0)


def _cost(sitting: Sitting, asked: Asked) -> Spent:
    """What the answers to some questions cost, whenever they were given."""
    keys = sorted({key.tobytes() for key in asked.keys if key.any()})
    found = sitting.journal.tokens(keys).values()
    return Spent(len(found), sum(read for read, _ in found), sum(written for _, written in found))


def _tidy(path: Path) -> None:
    """Of each round keep the choice: its stores would pass for the teacher's, and its student has done its work."""
    for place in sorted((path / "rounds").glob("*/*")):
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
