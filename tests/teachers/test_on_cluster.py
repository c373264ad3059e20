"""Several machines: a cluster of Ray on loopback, of which one machine dies."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import psutil
import pytest

import recdistill as rd
from recdistill.errors import TeacherError
from recdistill.knowledge import Knowledge
from recdistill.teachers.cluster import Cluster, on_cluster
from recdistill.teachers.llm.backends import Endpoint
from recdistill.teachers.llm.budget import BudgetSpent
from recdistill.teachers.llm.candidates import RandomCandidates
from recdistill.teachers.llm.tasks import Listwise
from recdistill.testing import tiny_split

from ..llm_server import Answer, Asked, LLMServer, answers
from .llm.test_teacher import chain, contents

SPLIT = tiny_split()
QUESTIONS, AT_ONCE, WORKERS = 160, 12, 3


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """Three machines; the first one runs what starts the work, and has no cores for it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster as Machines

    settings = {
        "health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 6,
        "prestart_worker_first_driver": False, "enable_worker_prestart": False, "worker_niceness": 0,
    }  # fmt: skip
    small = {"object_store_memory": 80 << 20, "include_dashboard": False}
    found = _patiently(lambda: Machines(initialize_head=True, head_node_args={
        "num_cpus": 0, "_system_config": settings, **small,
    }))  # fmt: skip
    for _ in range(2):
        _patiently(lambda: found.add_node(num_cpus=1, wait=False, **small))
    yield found
    found.shutdown()


def _patiently(start: Callable[[], Any]) -> Any:
    """Ray gives a machine 30 seconds to come up, which on busy cores is not always enough."""
    for _ in range(4):
        with suppress(Exception):
            return start()
    return start()


@pytest.fixture
def cluster(machines: Any) -> Cluster:
    return Cluster(address=machines.address, workers=WORKERS)


def teacher(*servers: LLMServer | str, questions: int = QUESTIONS, **changes: Any) -> Any:
    first, *others = [server if isinstance(server, str) else server.url for server in servers]
    where = Endpoint(url=first, replicas=tuple(others), pace={"start": AT_ONCE, "most": AT_ONCE})
    task = Listwise(at="all", contexts=questions, candidates=RandomCandidates(n=6))
    return rd.teachers.LLM(task=task, backend=where, **changes)


def slowly(asked: Asked) -> Answer:
    return Answer(chain(asked).body, delay=0.15)


def times_asked(*servers: LLMServer) -> Counter[str]:
    """How often each question arrived, by its key in the journal."""
    marks = [asked.headers["idempotency-key"] for server in servers for asked in server.asked]
    return Counter(mark.rpartition("-")[0] for mark in marks)


def recorded(folder: Path) -> set[str]:
    """Keys of what is answered in the journal."""
    found = sqlite3.connect(folder / "journal.sqlite")
    keys = {key.hex() for (key,) in found.execute("SELECT key FROM answers WHERE state = 'answered'")}
    found.close()
    return keys


def test_a_spent_budget_stops_all_and_the_rest_is_asked_later(cluster: Cluster, tmp_path: Path) -> None:
    with answers(chain) as server, on_cluster(cluster):
        with pytest.raises(BudgetSpent, match=r"the budget of 30 requests is spent .* 30 of 60 questions are open"):
            teacher(server, questions=60, budget={"requests": 30}).teach(SPLIT, tmp_path / "k")
        assert len(server.asked) == 30
        facts = teacher(server, questions=60, budget={"requests": 60}).teach(SPLIT, tmp_path / "k")
        again = teacher(server, questions=60, budget={"requests": 60}).teach(SPLIT, tmp_path / "other")
    assert facts["questions"] == again["questions"] == {"answered": 60}
    assert set(times_asked(server).values()) == {1}


def test_what_is_under_way_is_filed_when_somebody_stops_it(cluster: Cluster, tmp_path: Path) -> None:
    async def interrupted(llm: Any) -> None:
        work = asyncio.create_task(llm._teach(SPLIT, tmp_path / "k", "llm", Knowledge(), cluster))
        while len(server.asked) < 20:
            await asyncio.sleep(0.05)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    with answers(slowly) as server, on_cluster(cluster):
        llm = teacher(server)
        asyncio.run(interrupted(llm))
        asked = times_asked(server)
        assert len(asked) < QUESTIONS
        assert recorded(tmp_path) == set(asked)
        assert llm.teach(SPLIT, tmp_path / "k")["questions"] == {"answered": QUESTIONS}
    assert set(times_asked(server).values()) == {1}


def test_a_server_that_is_gone_is_left_to_the_others(cluster: Cluster, tmp_path: Path) -> None:
    with answers(chain) as gone, answers(chain) as server, on_cluster(cluster):
        gone_too = gone.url
        gone.close()
        llm = teacher(server, gone_too, questions=60)
        llm = llm.replace(backend=llm.backend.replace(patience={"tries": 100, "seconds": 0.5}))
        assert llm.teach(SPLIT, tmp_path / "k")["questions"] == {"answered": 60}
        server.close()
        with pytest.raises(TeacherError, match="nobody answers there"):
            llm.replace(task=llm.task.replace(seed=1)).teach(SPLIT, tmp_path / "other")


def test_vectors_are_those_of_one_machine(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = rd.teachers.TextEncoder(dtype="float32", batch_tokens=64)
    here = encoder.embed_items(SPLIT, tmp_path / "here")
    with on_cluster(cluster.replace(workers=2)):
        there = encoder.embed_items(SPLIT, tmp_path / "there")
    np.testing.assert_allclose(there.all(), here.all(), atol=1e-3)  # workers may have other numbers of threads
    assert there.manifest.teacher_fingerprint == here.manifest.teacher_fingerprint


def test_a_machine_dies(machines: Any, cluster: Cluster, tmp_path: Path) -> None:
    """Last of all: what it had under way is asked again, nothing else, and the store is the same."""
    with answers(chain) as server:
        teacher(server).teach(SPLIT, tmp_path / "here" / "k")
    dead = Event()

    def slower(asked: Asked) -> Answer:
        """The machine must die before the job ends, however long that takes here."""
        waiting = len(server.answered) >= QUESTIONS // 4 and not dead.is_set()
        return Answer(chain(asked).body, delay=3.0 if waiting else 0.15)

    with answers(slower) as server, on_cluster(cluster):
        known: set[str] = set()

        def kill() -> None:
            while len(server.answered) < QUESTIONS // 4:
                time.sleep(0.02)
            victim = max(machines.worker_nodes, key=lambda node: len(_askers(node)))
            assert _askers(victim)
            for process in _processes(victim):
                process.kill()
            known.update(recorded(tmp_path / "there"))
            machines.remove_node(victim, allow_graceful=False)
            dead.set()

        killer = Thread(target=kill)
        killer.start()
        facts = teacher(server).teach(SPLIT, tmp_path / "there" / "k")
        killer.join()
    asked = times_asked(server)
    twice = {key for key, times in asked.items() if times > 1}
    assert facts["questions"] == {"answered": QUESTIONS}
    assert len(asked) == QUESTIONS
    assert len(known) >= QUESTIONS // 8
    assert not twice & known  # what was filed is never asked again
    assert sum(asked.values()) - QUESTIONS <= AT_ONCE  # all of its workers together
    assert len(twice) <= facts["possibly_paid_twice"] <= AT_ONCE
    assert contents(tmp_path / "there" / "k") == contents(tmp_path / "here" / "k")


def _processes(node: Any) -> list[psutil.Process]:
    """All of a machine: what Ray started there, and what that has started."""
    started = [psutil.Process(info.process.pid) for group in node.all_processes.values() for info in group]
    return [process for parent in started for process in (*parent.children(recursive=True), parent)]


def _askers(node: Any) -> list[psutil.Process]:
    return [process for process in _processes(node) if "Asker" in " ".join(process.cmdline())]
