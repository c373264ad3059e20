"""The process that runs the recipe: says what is open, hands it out, waits, and counts what became of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ....errors import RecdistillError, TeacherError
from ....progress import Progress, track
from ...cluster import Cluster
from ..backends.base import BackendConfig
from ..budget import BudgetSpent
from ..engine import Asked, Backend, run_async
from ..exchange import KEY_BYTES, Capabilities
from ..journal import Journal, Spent, State
from .keeper import Keeper, Standing
from .worker import Asker

if TYPE_CHECKING:
    from ..tasks.base import Job
    from ..teacher import LLM

Ints = npt.NDArray[np.int64]

__all__ = ["Met", "ask_on", "meet_on"]

_LOOKED = 4096
"""Questions that are looked up together."""
_LOOK_SECONDS = 0.5
"""Between two looks at how far the job is."""
_PIECES = 8
"""Pieces of work for each worker, unless they get too large."""
_TIMES_AT_ONCE = 8
"""So many times what a worker asks at once is a piece at most; while its last questions are answered, places are free.
"""
_ELSEWHERE_SECONDS = 30.0
"""So long a server is waited for if there are others."""


class Met:
    """A model that is asked from other machines: what it can do, and nothing more.

    Args:
        capabilities: What it can do.
        place: For messages.
    """

    def __init__(self, capabilities: Capabilities, place: str) -> None:
        self.capabilities, self.place = capabilities, place

    def completed(self, request: Any) -> Any:
        """Nothing is asked from here."""
        raise TypeError("this model is asked by workers")

    async def ask(self, request: Any, mark: str) -> Any:
        """Nothing is asked from here."""
        raise TypeError("this model is asked by workers")

    async def close(self) -> None:
        """Nothing is open here."""


async def meet_on(cluster: Cluster, backend: BackendConfig) -> Met:
    """What a model can do: found out from here if it has servers, else on one machine of the cluster.

    Raises:
        TeacherError: It is not there.
    """
    if backend.servers():
        return Met(*await _look(backend))
    return Met(*cluster.on_one(_meet, cluster.shares()[1], backend))


def _meet(backend: BackendConfig) -> tuple[Capabilities, str]:
    return run_async(_look(backend))


async def _look(backend: BackendConfig) -> tuple[Capabilities, str]:
    opened = await backend.open()
    await opened.close()
    return opened.capabilities, opened.place


async def ask_on(cluster: Cluster, llm: LLM, job: Job, met: Backend, journal: Journal) -> Asked:
    """Settle all questions of a job.

    Args:
        cluster: Where.
        llm: The teacher.
        job: What is asked.
        met: The model.
        journal: Where answers are looked up; they are filed by the keeper.

    Raises:
        TeacherError: The budget is spent, or the model cannot be asked; what was answered is in the journal.
    """
    start, before = time.monotonic(), journal.spent()
    asking = _Asking(cluster, llm, job, met, journal)
    with track(job.label, len(job), "questions") as progress:
        left = asking.look(progress)
        if len(left):
            await asking.work(left, progress)
    now = journal.spent()
    spent = Spent(now.sent - before.sent, now.tokens_in - before.tokens_in, now.tokens_out - before.tokens_out)
    return Asked(np.arange(len(job)), asking.keys, asking.counts(), spent, time.monotonic() - start)


class _Asking:
    """A job on its way through the cluster."""

    def __init__(self, cluster: Cluster, llm: LLM, job: Job, met: Backend, journal: Journal) -> None:
        self.cluster, self.llm, self.job, self.met, self.journal = cluster, llm, job, met, journal
        self.keys = np.zeros((len(job), KEY_BYTES), dtype=np.uint8)
        self.empty = np.zeros(len(job), dtype=np.bool_)
        self._failed: dict[bytes, int] = {}  # how often what is asked again had failed before

    def look(self, progress: Progress) -> Ints:
        """Write all questions down and find those that are open, each once."""
        for number in range(len(self.job)):
            request = self.job.request(number)
            if request is None:
                self.empty[number] = True
            else:
                key = request.key(self.met.capabilities.identity)
                self.keys[number] = np.frombuffer(key, dtype=np.uint8)
        _, first = np.unique(self.keys, axis=0, return_index=True)
        places = np.sort(first[~self.empty[first]])
        left = self._open(places, start=True)
        progress.skip(len(self.job) - len(left))
        return left

    def _open(self, places: Ints, start: bool = False) -> Ints:
        """Those that are to be asked; what has failed in this run is not."""
        left = []
        for part in _parts(places):
            keys = {place: self.keys[place].tobytes() for place in part.tolist()}
            known = self.journal.known(list(keys.values()))
            for place, key in keys.items():
                found = known.get(key)
                if found is None:
                    left.append(place)
                elif not self.llm.again.settled(found):
                    if start and found.state is State.FAILED:
                        self._failed[key] = found.attempt
                    if found.state is not State.FAILED or found.attempt <= self._failed.get(key, -1):
                        left.append(place)
        return np.array(left, dtype=np.int64)

    async def work(self, places: Ints, progress: Progress) -> None:
        """Hand out what is open until nothing is.

        Raises:
            TeacherError: The keeper was told to stop, or the workers die.
        """
        ray = self.cluster.start()
        here = ray.get_runtime_context().get_node_id()
        beside = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        made = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=beside)(Keeper)
        file, llm = self.journal.path.absolute(), self.llm
        keeper = made.remote(file, self.journal.job, llm.budget, llm.prices, llm.backend.servers() or ())
        try:
            await self._rounds(ray, keeper, places, progress)
        finally:
            ray.get(keeper.close.remote())
            ray.kill(keeper)

    async def _rounds(self, ray: Any, keeper: Any, places: Ints, progress: Progress) -> None:
        """One round is enough, unless work was lost with a machine."""
        servers, total = self.llm.backend.servers(), len(places)
        workers, share = self.cluster.shares(None if servers is None else len(servers))
        backend = self._backend_of_one(workers, servers)
        arguments = {
            "keeper": keeper, "questions": [ray.put(self.job)], "backend": backend, "again": self.llm.again,
            "capabilities": self.met.capabilities, "limited": self.llm.budget.limited,
        }  # fmt: skip
        shown, see = 0, self.cluster.rounds()
        while len(places):
            pieces = _pieces(places, workers, backend.pace.most)

            def consume(pieces: list[dict[str, Ints]] = pieces) -> None:
                for _ in self.cluster.stream(pieces, Asker, arguments, workers, share):
                    pass

            with ThreadPoolExecutor(1, "ray") as thread:
                round_ = asyncio.get_running_loop().run_in_executor(thread, consume)
                try:
                    while not (await asyncio.wait([round_], timeout=_LOOK_SECONDS))[0]:
                        shown = self._show(ray.get(keeper.standing.remote()), shown, total, progress)
                except asyncio.CancelledError:
                    hint = "the same command goes on from there"
                    ray.get(keeper.stop.remote(TeacherError("interrupted", hint=hint)))
                    await asyncio.wait([round_])  # what is under way is paid for already
                    raise
                round_.result()
            standing = ray.get(keeper.standing.remote())
            shown = self._show(standing, shown, total, progress)
            left = self._open(places)
            if len(left):
                self._see_whether_stopped(ray.get(keeper.stopped.remote()), standing, len(left))
            see(len(places), len(left))
            places = left

    def _show(self, standing: Standing, shown: int, total: int, progress: Progress) -> int:
        """Move the progress line; how far it is."""
        settled = min(standing.settled, total)
        if settled > shown:
            progress.advance(settled - shown, standing.words)
        return max(settled, shown)

    def _see_whether_stopped(self, why: RecdistillError | None, standing: Standing, left: int) -> None:
        if isinstance(why, BudgetSpent):  # a worker knows about its own questions only
            raise BudgetSpent(why.limit, standing.words, left, len(self.job))
        if why is not None:
            raise why

    def _backend_of_one(self, workers: int, servers: tuple[str, ...] | None) -> BackendConfig:
        """The backend with the pace that one worker of many may have: limits are those of a server."""
        backend = self.llm.backend
        if servers is None:
            return backend
        sharing, pace = -(-workers // len(servers)), backend.pace
        most = max(pace.most // sharing, 1)
        rates = {name: rate and rate / sharing for name, rate in pace.rates.items()}
        patience = backend.patience
        if len(servers) > 1:  # there are others to ask
            patience = patience.replace(seconds=min(patience.seconds, _ELSEWHERE_SECONDS))
        pace = pace.replace(most=most, start=min(pace.start, most), **rates)
        return backend.replace(pace=pace, patience=patience)

    def counts(self) -> dict[str, int]:
        """What became of all questions."""
        counts: Counter[str] = Counter(empty=int(self.empty.sum()))
        asked = np.flatnonzero(~self.empty)
        for part in _parts(asked):
            keys = [self.keys[place].tobytes() for place in part.tolist()]
            known = self.journal.known(sorted(set(keys)))
            counts.update(str(known[key].state) for key in keys if key in known)
        return {state: counts[state] for state in (*State, "empty") if counts[state]}


def _pieces(places: Ints, workers: int, at_once: int) -> list[dict[str, Ints]]:
    """Questions that are handed out together: enough for a worker's places, few enough that all end at one time."""
    fair = -(-len(places) // (workers * _PIECES))
    size = min(max(fair, min(at_once, -(-len(places) // workers))), _TIMES_AT_ONCE * at_once)
    return [{"number": places[start : start + size]} for start in range(0, len(places), size)]


def _parts(places: Ints) -> Iterator[Ints]:
    for start in range(0, len(places), _LOOKED):
        yield places[start : start + _LOOKED]
