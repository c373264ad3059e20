"""One journal and one purse for all workers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from recdistill.errors import TeacherError
from recdistill.teachers.llm.budget import Budget, Prices
from recdistill.teachers.llm.cluster.keeper import Keeper
from recdistill.teachers.llm.exchange import Reply
from recdistill.teachers.llm.journal import Claim, Journal, Outcome, State

A, B = b"a" * 16, b"b" * 16
ANSWER = Outcome(A, 0, State.ANSWERED, Reply("yes").pack(), "", 10, 2)


def made(folder: Path, budget: Budget | None = None, servers: tuple[str, ...] = ()) -> Keeper:
    return Keeper(folder / "j", "job", budget or Budget(), Prices(), servers)


def test_what_a_worker_brings_is_filed_and_seen_by_all(tmp_path: Path) -> None:
    keeper = made(tmp_path)
    assert keeper.join() is None
    assert keeper.commit([(A, 0), (B, 0)], []) == [Claim.YOURS, Claim.YOURS]
    assert keeper.commit([(A, 0)], [ANSWER]) == [Claim.SETTLED]
    assert keeper.known([A])[A].state is State.ANSWERED
    assert keeper.read([A])[A].reply == Reply("yes")
    assert keeper.standing().settled == 1
    assert keeper.standing().words == "10 tokens in, 2 out"
    keeper.give_back([B])
    keeper.close()
    with Journal(tmp_path / "j", "job") as journal:
        spent = journal.spent()
        assert (spent.sent, spent.tokens_in, spent.lost) == (1, 10, 0)


def test_what_a_dead_worker_asked_is_asked_by_another_and_counted(tmp_path: Path) -> None:
    keeper = made(tmp_path)
    keeper.commit([(A, 0)], [])
    assert keeper.commit([(A, 0)], []) == [Claim.YOURS]
    keeper.commit([], [ANSWER])
    keeper.close()
    with Journal(tmp_path / "j", "job") as journal:
        assert journal.spent().lost == 1


def test_the_time_is_that_of_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    keeper = made(tmp_path)
    now[0] += 60  # models are loaded
    keeper.join()
    now[0] += 2
    keeper.commit([(A, 0)], [])
    keeper.join()
    now[0] += 3
    keeper.commit([], [ANSWER])
    keeper.close()
    with Journal(tmp_path / "j", "job") as journal:
        assert journal.spent().seconds == 5


def test_after_a_stop_answers_are_filed_and_nothing_is_asked(tmp_path: Path) -> None:
    keeper = made(tmp_path)
    keeper.commit([(A, 0)], [])
    keeper.stop(TeacherError("first"))
    keeper.stop(TeacherError("second"))
    assert keeper.commit([(B, 0)], [ANSWER]) is None
    assert str(keeper.stopped()) == "first"
    assert set(keeper.known([A, B])) == {A}
    keeper.close()


def test_servers_are_asked_in_turn_and_left_when_they_are_gone(tmp_path: Path) -> None:
    keeper = made(tmp_path, servers=("one", "two"))
    assert {keeper.join(), keeper.join()} == {"one", "two"}
    assert keeper.leave("one", TeacherError("gone")) == "two"
    assert keeper.leave("one", TeacherError("gone")) == "two"  # another worker of the same server
    assert keeper.stopped() is None
    assert keeper.leave("two", TeacherError("gone, too")) is None
    assert str(keeper.stopped()) == "gone, too"
    keeper.close()


def test_the_purse_is_shared_and_says_whether_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    keeper = made(tmp_path, Budget(requests=2))
    assert keeper.reserve((10, 1)) is None
    assert keeper.reserve((10, 1)) is None
    assert keeper.reserve((10, 1)) == ("2 requests", True)
    keeper.forget((10, 1))
    assert keeper.reserve((10, 1)) is None
    keeper.settle((10, 1), 5, 1)
    now[0] += 29
    assert keeper.reserve((10, 1)) == ("2 requests", True)
    now[0] += 2  # who had set the other aside is dead, or too slow to wait for
    assert keeper.reserve((10, 1)) == ("2 requests", False)
    keeper.settle((10, 1), 5, 1)
    assert keeper.reserve((10, 1)) == ("2 requests", False)
    keeper.close()
