"""A worker with its keeper in the same process; the way between them is Ray's part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recdistill.errors import TeacherError
from recdistill.teachers.llm.backends.endpoint import Endpoint
from recdistill.teachers.llm.backends.gguf import GGUF
from recdistill.teachers.llm.budget import Budget, BudgetSpent, Prices
from recdistill.teachers.llm.cluster.keeper import Keeper
from recdistill.teachers.llm.cluster.worker import Asking
from recdistill.teachers.llm.engine import Again, run_async
from recdistill.teachers.llm.exchange import Capabilities
from recdistill.teachers.llm.journal import Journal, State

from ....llm_server import Answer, Asked, LLMServer, answers, chat
from ..asking import Numbers

ABLE = Capabilities("tiny", "tiny")


def number(asked: Asked) -> Answer:
    return chat("7")


def keys(numbers: Numbers) -> list[bytes]:
    found = [numbers.request(n) for n in range(len(numbers))]
    return [request.key("tiny") for request in found if request is not None]


class Office:
    """A keeper, and workers that call it."""

    def __init__(self, folder: Path, *servers: str, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self.keeper = Keeper(folder / "j", "job", self.budget, Prices(), servers)
        self.called: list[str] = []
        self.workers: list[Asking] = []
        self.where = Endpoint(
            url="http://127.0.0.1:9/v1", pace={"start": 4, "most": 4}, patience={"tries": 3, "seconds": 0.3}
        )

    def call(self, method: str, *arguments: Any) -> Any:
        self.called.append(method)
        return getattr(self.keeper, method)(*arguments)

    def worker(self, numbers: Numbers, **again: int) -> Asking:
        self.workers.append(Asking(self.call, numbers, self.where, Again(**again), ABLE, self.budget.limited))
        return self.workers[-1]

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self.keeper.close()


@pytest.fixture
def server() -> Iterator[LLMServer]:
    with answers(number) as found:
        yield found


def test_pieces_are_asked_one_after_the_other(server: LLMServer, tmp_path: Path) -> None:
    numbers = Numbers(20, none=(3,), twins=15)
    with closing(Office(tmp_path, server.url)) as office:
        work = office.worker(numbers)
        for piece in (np.arange(8), np.arange(8, 20), np.arange(20)):
            assert (work({"number": piece})["number"] == piece).all()
        known = office.keeper.known(keys(numbers))
    assert {found.state for found in known.values()} == {State.ANSWERED}
    assert len(server.asked) == len(known) == 15
    assert not {"reserve", "settle"} & set(office.called)  # without a budget nobody asks for money


def test_what_cannot_be_read_is_asked_again_with_a_reminder(tmp_path: Path) -> None:
    def stubborn(asked: Asked) -> Answer:
        return chat("12" if "Answer with a number" in asked.said else "twelve")

    with answers(stubborn) as server, closing(Office(tmp_path, server.url)) as office:
        office.worker(Numbers(3), unparsable=1)({"number": np.arange(3)})
        assert office.keeper.known(keys(Numbers(3)))[keys(Numbers(3))[0]].attempt == 1
    assert len(server.asked) == 6


def test_a_spent_budget_is_told_to_all(server: LLMServer, tmp_path: Path) -> None:
    with closing(Office(tmp_path, server.url, budget=Budget(requests=5))) as office:
        first, second = office.worker(Numbers(20)), office.worker(Numbers(20))
        first({"number": np.arange(10)})
        stopped = office.keeper.stopped()
        assert isinstance(stopped, BudgetSpent)
        assert stopped.limit == "5 requests"
        second({"number": np.arange(10, 20)})
    assert len(server.asked) == 5


def test_the_worker_of_a_server_that_is_gone_goes_to_another(server: LLMServer, tmp_path: Path) -> None:
    with answers(number) as other:
        gone = other.url
    with closing(Office(tmp_path, server.url, gone)) as office:
        office.worker(Numbers(6))({"number": np.arange(3)})
        office.worker(Numbers(6))({"number": np.arange(3, 6)})
        assert office.keeper.stopped() is None
        assert "leave" in office.called
        assert len(server.asked) == 6
        server.close()
        office.worker(Numbers(9))({"number": np.arange(6, 9)})
        assert "nobody answers there" in str(office.keeper.stopped())


def test_a_stop_in_the_middle_files_what_is_under_way(tmp_path: Path) -> None:
    office: Office

    def stops(asked: Asked) -> Answer:
        if asked.count == 4:
            office.keeper.stop(TeacherError("enough"))
        return Answer(number(asked).body, delay=0.05)

    with answers(stops) as server:
        office = Office(tmp_path, server.url)
        office.worker(Numbers(40))({"number": np.arange(40)})
        office.close()
        with Journal(tmp_path / "j") as journal:
            assert journal.counts() == {"answered": len(server.asked)}
    assert len(server.asked) < 40


def test_a_model_that_would_answer_otherwise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="a worker has another model or number type"):
        run_async(GGUF(context=64, threads=1).join(Capabilities("m", "another")))
