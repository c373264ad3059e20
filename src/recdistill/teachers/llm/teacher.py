"""A language model as teacher."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, Field, model_validator

from ...data.dataset import Split
from ...errors import ConfigError, TeacherError
from ...files import checksum, read_json, write_json
from ...knowledge import Knowledge
from ...registry import component_field
from ..base import TeacherConfig
from ..cluster import Cluster, cluster_in_use
from . import BACKENDS, TASKS
from .backends.base import BackendConfig
from .budget import Budget, Prices, Purse, in_money
from .cluster import ask_on, meet_on
from .engine import Again, Asked, Backend, Engine, replies, run_async
from .exchange import Capabilities
from .journal import Journal, Spent
from .select import Select
from .tasks.base import Job, Place, TaskConfig
from .tasks.rankings import RankingTask

__all__ = ["FACTS", "LLM", "Sitting"]

log = logging.getLogger("recdistill")

if TYPE_CHECKING:
    Task = TaskConfig
    Where = BackendConfig
else:
    Task = component_field(TASKS)
    Where = component_field(BACKENDS)

FACTS = "facts.json"
"""Written when a teacher has said everything."""
_ASKED = "asked.json"
"""Of whom, and what."""


class LLM(TeacherConfig):
    """Asks a language model about users and items, and stores what it says with its confidence.

    Every answer is kept in a journal, so that nothing is paid for twice, whatever happens: an interruption, a change of
    another parameter, a second process at the same work. Before anything is asked it is checked that no question knows
    what follows the history it is about. With ``select`` it is asked in rounds, about what the student chooses.
    """

    name: ClassVar[str] = "llm"

    task: Task = Field(default_factory=lambda: TASKS["listwise"].load()(), description="what is asked")
    backend: Where = Field(default_factory=lambda: BACKENDS["gguf"].load()(), description="who is asked, and where")
    journal: Path | None = Field(
        None, description="file that keeps the answers; several jobs may share it; None: beside the store"
    )
    prices: Prices = Field(Prices(), description="what tokens cost")
    budget: Budget = Field(Budget(), description="what may be spent, all runs together")
    again: Again = Field(Again(), description="what is asked again")
    select: Select | None = Field(
        None,
        description="of tasks that rank a list: which of its contexts are asked about, in rounds; null: all, at once",
    )
    missing: float = Field(
        0.1, ge=0, le=1, description="share of the questions without an answer that is put up with in a store"
    )

    @model_validator(mode="after")
    def _rounds_fit(self) -> LLM:
        if self.select is None:
            return self
        if not isinstance(self.task, RankingTask):
            hint = "use the task listwise or likelihood, or remove select"
            raise ConfigError(f"contexts of {self.task.name} are not chosen in rounds", key=("select",), hint=hint)
        if self.select.on_policy and self.task.at != "ends":
            what = "the student has learned from the events before which it would be asked for candidates"
            raise ConfigError(what, key=("select", "on_policy"), hint="use at: ends, or remove on_policy")
        by_money = self.select.per == "money" and self.select.stop_below is not None
        if by_money and not self.prices.of(1, 1, 1):
            raise ConfigError("nothing has a price", key=("select", "per"), hint="say what tokens cost under prices")
        return self

    def uses(self) -> tuple[str, ...]:
        against = () if self.select is None or self.select.against is None else (self.select.against,)
        return tuple(dict.fromkeys((*self.task.uses(), *against)))

    def reads_log(self) -> bool:
        return self.task.reads_log()

    def inputs(self) -> tuple[str, ...]:
        return tuple(checksum(file) if file.is_file() else str(file) for file in _paths(self.task))

    def at(self, base: Path) -> LLM:
        based: LLM = _based(self, base)
        return based

    def teach(
        self, split: Split, path: str | Path, name: str | None = None, knowledge: Knowledge | None = None
    ) -> dict[str, Any]:
        """Ask all there is to ask, and write the stores.

        Raises:
            TeacherError: The model cannot be asked, the budget is spent, or too much is left without an answer; what
                was answered is in the journal, and the same call goes on from there. Or something else was asked in
                this directory before.
        """
        if self.select is not None:
            hint = "give recdistill.teach a student, or use a recipe"
            raise TeacherError("chooses contexts in rounds, and there is no student to choose", where=name, hint=hint)
        path = Path(path)
        if (known := self.said_before(path, split)) is not None:
            return known
        return run_async(self._teach(split, path, name or self.name, knowledge or Knowledge(), cluster_in_use()))

    @asynccontextmanager
    async def sitting(
        self, path: Path, name: str, job: Callable[[Capabilities], Job], cluster: Cluster | None = None
    ) -> AsyncIterator[Sitting]:
        """Open the model and the journal, and write the questions down; nothing is asked yet but what it can do.

        Args:
            path: Where the stores will be.
            name: The teacher's name.
            job: Makes the questions for a model that can do so much.
            cluster: Where the model is to be asked, if not by this process.
        """
        opened = await self.backend.open() if cluster is None else await meet_on(cluster, self.backend)
        try:
            log.info("%s: %s", name, _described(opened))
            with Journal(self.journal or path.parent / "journal.sqlite", f"{name}/{self.task.name}") as journal:
                yield Sitting(self, opened, journal, job(opened.capabilities), cluster)
        finally:
            await opened.close()

    async def _teach(
        self, split: Split, path: Path, name: str, knowledge: Knowledge, cluster: Cluster | None
    ) -> dict[str, Any]:
        async with self.sitting(path, name, partial(self.task.job, split, knowledge), cluster) as sitting:
            asked = await sitting.ask()
            self.see_whether_enough(asked, sitting.journal)
            facts = sitting.job.write(replies(sitting.journal, asked), Place(path, name, sitting.fingerprint))
            spent = sitting.journal.spent()
        facts |= self.account(asked.counts, sitting.backend.capabilities.model, spent)
        self.end(path, split, facts)
        return facts

    def said_before(self, path: Path, split: Split) -> dict[str, Any] | None:
        """What a report says about stores that are finished; None if there are none.

        Raises:
            TeacherError: They are of another model or task, or about other data.
        """
        if not (path / FACTS).is_file():
            return None
        if (path / _ASKED).is_file() and read_json(path / _ASKED) != self._asked(split):
            hint = "name another directory, or remove this one"
            raise TeacherError("holds what another model, task or data set has left", where=path, hint=hint)
        return dict(read_json(path / FACTS))

    def end(self, path: Path, split: Split, facts: dict[str, Any]) -> None:
        """Note that everything was said, and what was asked."""
        write_json(path / _ASKED, self._asked(split))
        write_json(path / FACTS, facts)

    def _asked(self, split: Split) -> dict[str, Any]:
        where = self.backend
        return {
            "task": self.task.digest(),
            "model": [getattr(where, name, None) for name in ("model", "gguf", "revision")],
            "backend": where.model_dump(mode="json", exclude=set(where.speed_only)),
            "select": None if self.select is None else self.select.digest(),
            "data": split.fingerprint,
        }

    def account(self, counts: dict[str, int], model: str, spent: Spent) -> dict[str, Any]:
        """What a report says about the cost.

        Args:
            counts: What became of the questions.
            model: Who was asked.
            spent: By all runs together.
        """
        facts: dict[str, Any] = {
            "questions": counts,
            "model": model,
            "requests": spent.sent,
            "tokens_in": spent.tokens_in,
            "tokens_out": spent.tokens_out,
            "seconds": round(spent.seconds, 1),
            "possibly_paid_twice": spent.lost,
        }
        money = self.prices.of(spent.sent, spent.tokens_in, spent.tokens_out)
        return facts | ({"money": f"{in_money(money)} {self.prices.currency}"} if money else {})

    def at_most(self) -> LLM:
        """The same without rounds, about as many contexts as they may choose: what it can cost at most."""
        if self.select is None or not isinstance(self.task, RankingTask):
            return self
        known = self.task.contexts
        wanted = self.select.contexts if known is None else min(known, self.select.contexts)
        return self.replace(select=None, task=self.task.replace(contexts=wanted))

    def see_whether_enough(self, asked: Asked, journal: Journal) -> None:
        """Refuse a job of which too many questions have no answer, and warn of any.

        Raises:
            TeacherError: They are more than ``missing`` allows.
        """
        left = {state: n for state, n in asked.counts.items() if state not in ("answered", "empty")}
        total = sum(asked.counts.values()) - asked.counts.get("empty", 0)
        if not left:
            return
        words = ", ".join(f"{n:,} {state}" for state, n in left.items())
        reason = next(iter(journal.reasons()), "in another form than asked for")
        if sum(left.values()) > self.missing * total:
            raise TeacherError(
                f"{sum(left.values()):,} of {total:,} questions have no answer ({words}; most often: {reason})",
                where=journal.path,
                hint="put that right and run again, or raise missing to go on without them",
            )
        log.warning("%s of %s questions have no answer (%s; most often: %s)", sum(left.values()), total, words, reason)


@dataclass(frozen=True, slots=True)
class Sitting:
    """An open model, an open journal, and the questions.

    Attributes:
        teacher: Its parameters.
        backend: The model.
        journal: Where answers are.
        job: What is to be asked.
        cluster: Where it is to be asked, if not by this process.
    """

    teacher: LLM
    backend: Backend
    journal: Journal
    job: Job
    cluster: Cluster | None = None

    @property
    def fingerprint(self) -> str:
        """Hash over all that decides the answers: 16 hex digits."""
        task = self.teacher.task.model_dump(mode="json")
        decides: list[Any] = [task, self.teacher.backend.parameters, self.backend.capabilities.identity]
        decides.append(self.job.prompt.digest)
        if self.teacher.select is not None:
            decides.append(self.teacher.select.model_dump(mode="json"))
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]

    async def ask(self) -> Asked:
        """Settle all questions, by this process or on the cluster.

        Raises:
            BudgetSpent: It is; what was answered is in the journal.
            TeacherError: The model cannot be asked; the same holds.
        """
        if self.cluster is None:
            return await self.engine().run()
        return await ask_on(self.cluster, self.teacher, self.job, self.backend, self.journal)

    def engine(self) -> Engine:
        """What asks them from this process."""
        purse = Purse(self.teacher.budget, self.teacher.prices, self.journal.spent())
        where = self.teacher.backend
        return Engine(self.job, self.backend, self.journal, purse, where.pace, where.patience, self.teacher.again)


def _described(opened: Backend) -> str:
    able = opened.capabilities
    can = [
        f"{able.top_logprobs} log-probabilities" if able.top_logprobs else "no log-probabilities",
        "JSON" if able.json_mode else "",
        f"context of {able.context:,} tokens" if able.context else "",
        "embeddings" if able.embeddings else "",
        "ranking" if able.rerank else "",
        "likelihood of texts" if able.likelihood else "",
    ]
    return f"{able.model} at {opened.place}: {', '.join(word for word in can if word)}"


def _paths(config: BaseModel) -> list[Path]:
    """Files and folders that parameters name, those of components in them too, in order."""
    found: list[Path] = []
    for _, value in config:
        for part in value if isinstance(value, list | tuple) else [value]:
            found += [part] if isinstance(part, Path) else _paths(part) if isinstance(part, BaseModel) else []
    return found


def _based(config: Any, base: Path) -> Any:
    """The same with relative paths starting from a folder."""
    changes: dict[str, Any] = {}
    for key, value in config:
        if isinstance(value, Path):
            changes[key] = base / value
        elif isinstance(value, BaseModel) and _paths(value):
            changes[key] = _based(value, base)
        elif isinstance(value, list) and any(isinstance(part, BaseModel) for part in value):
            changes[key] = [_based(part, base) for part in value]
    return config.replace(**changes) if changes else config
