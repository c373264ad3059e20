"""Answers that were handed over: found, counted and never asked again; the hand-over may die at any moment."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.errors import TeacherError
from recdistill.teachers.llm.exchange import Reply
from recdistill.teachers.llm.journal import Claim, Journal, Known, Outcome, State
from recdistill.teachers.llm.shards import Shards, folder_of, write_shard

from ...llm_server import Answer, Asked, answers, chat
from .asking import Numbers, ask


def key(number: int) -> bytes:
    return number.to_bytes(16, "little")  # many share their first half: zeros


def outcome(number: int, attempt: int = 0, state: State = State.ANSWERED) -> Outcome:
    if state is not State.ANSWERED:
        return Outcome(key(number), attempt, state, None, f"because {state}", 3, 0)
    return Outcome(key(number), attempt, state, Reply(f"answer {number}.{attempt}").pack(), "", 10, 2)


def files(path: Path) -> list[str]:
    return sorted(file.name for file in folder_of(path).glob("*.parquet"))


def test_everything_reads_as_before(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", "job") as journal:
        journal.commit([], [outcome(n) for n in range(3000)])
        journal.commit([], [outcome(3000, 0, State.REFUSED), outcome(3001, 0, State.UNPARSABLE), outcome(3001, 1)])
        keys = [key(n) for n in range(3010)]

        def seen() -> list[object]:
            return [journal.known(keys), journal.read(keys), journal.tokens(keys), journal.counts(), journal.reasons(),
                    journal.spent(), journal.spent_by_job()]  # fmt: skip

        before = seen()
        assert journal.compact() == 3003
        assert seen() == before
        assert journal.commit([(key(5), 0), (key(3001), 1), (key(3000), 0), (key(3000), 1), (key(4000), 0)]) == [
            Claim.SETTLED, Claim.SETTLED, Claim.SETTLED, Claim.YOURS, Claim.YOURS,
        ]  # fmt: skip
        journal.commit([], [outcome(3000, 1), outcome(4000)])
        assert journal.read([key(3000)])[key(3000)] == Known(State.ANSWERED, 1, Reply("answer 3000.1"))
        assert journal.tokens([key(3000)]) == {key(3000): (13, 2)}
        assert journal.counts() == {"answered": 3003, "refused": 1, "unparsable": 1}
        assert journal.compact() == 2
        assert journal.known([key(3000)])[key(3000)].attempt == 1
        assert journal.compact() == 0
        assert journal.shards() == files(tmp_path / "j") == ["shard-00000.parquet", "shard-00001.parquet"]
    with sqlite3.connect(tmp_path / "j") as db:
        assert db.execute("SELECT COUNT(*) FROM answers").fetchone() == (0,)
    with Journal(tmp_path / "j", "other") as journal:
        assert journal.read(keys)[key(17)].reply == Reply("answer 17.0")


def test_a_job_at_work_is_not_disturbed(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", "job") as working, Journal(tmp_path / "j") as other:
        assert working.commit([(key(1), 0), (key(2), 0)]) == [Claim.YOURS, Claim.YOURS]
        working.commit([], [outcome(1)])
        assert other.compact() == 1
        assert working.known([key(1)])[key(1)].state is State.ANSWERED
        assert working.commit([(key(1), 0)], [outcome(2)]) == [Claim.SETTLED]
        assert other.read([key(2)])[key(2)].reply == Reply("answer 2.0")


def test_nothing_is_asked_again_after_it(tmp_path: Path) -> None:
    def five(asked: Asked) -> Answer:
        return chat("5")

    with answers(five) as server:
        ask(server.url, tmp_path, Numbers(30))
        with Journal(tmp_path / "journal.sqlite") as journal:
            assert journal.compact() == 30
        found = ask(server.url, tmp_path, Numbers(40))
    assert found.counts == {"answered": 40}
    assert len(server.asked) == 40


@pytest.mark.parametrize("moment", ["write", "before", "after"])
def test_killed_in_the_middle_each_answer_is_in_one_place(tmp_path: Path, moment: str) -> None:
    with Journal(tmp_path / "j", "job") as journal:
        journal.commit([], [outcome(n) for n in range(2500)])
    code = f"""
import os, signal
from recdistill.teachers.llm import journal as module
from recdistill.teachers.llm import shards
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
class Dying(module.Journal):
    pass
if {moment!r} == "write":
    groups = shards._groups
    def two(rows):
        for n, group in enumerate(groups(rows)):
            if n == 1:
                die()
            yield group
    shards._groups = two
elif {moment!r} == "before":
    written = module.write_shard
    module.write_shard = lambda *a: (written(*a), die())
else:
    module.suppress = die
with module.Journal({str(tmp_path / "j")!r}) as opened:
    opened.compact()
"""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ)
    assert done.returncode == -signal.SIGKILL
    keys = [key(n) for n in range(2500)]
    with Journal(tmp_path / "j") as journal:
        assert len(journal.read(keys)) == 2500
        assert journal.counts() == {"answered": 2500}
        assert journal.compact() == (0 if moment == "after" else 2500)
        assert journal.counts() == {"answered": 2500}
        assert journal.read(keys)[key(2499)].reply == Reply("answer 2499.0")
        assert files(tmp_path / "j") == journal.shards() == ["shard-00000.parquet"]


def test_what_goes_wrong_is_one_line(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal, Journal(tmp_path / "j") as second:
        journal.commit([], [outcome(1)])
        hold = f"""
import fcntl, sys
file = open({str(folder_of(tmp_path / "j") / ".lock")!r}, "ab")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
        folder_of(tmp_path / "j").mkdir()
        pipe = subprocess.PIPE
        with subprocess.Popen([sys.executable, "-c", hold], stdin=pipe, stdout=pipe) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            with pytest.raises(TeacherError, match="is compacted by another process; wait for it"):
                journal.compact()
        assert journal.compact() == 1
        (shard,) = folder_of(tmp_path / "j").glob("*.parquet")
        shard.write_bytes(b"PAR1 and no more")
        with pytest.raises(TeacherError, match=r"shard-00000\.parquet: cannot be read, and answers are in it"):
            second.known([key(1)])


def test_a_journal_of_the_format_before_is_taken_on(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.commit([], [outcome(1)])
    with sqlite3.connect(tmp_path / "j") as db:
        db.execute("DROP TABLE shards")
        db.execute("PRAGMA user_version = 1")
    with Journal(tmp_path / "j") as journal:
        assert journal.compact() == 1
        assert journal.known([key(1)])[key(1)].state is State.ANSWERED


Rows = st.lists(
    st.tuples(st.binary(min_size=16, max_size=16), st.integers(0, 3), st.sampled_from(list(State)), st.binary()),
    unique_by=lambda row: row[:2],
    max_size=60,
)


@given(parts=st.lists(Rows, max_size=3))
def test_the_newest_of_each_question_is_found(
    parts: list[list[tuple[bytes, int, State, bytes]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    newest: dict[bytes, tuple[int, State, bytes]] = {}
    for n, rows in enumerate(parts):
        write_shard(
            folder / str(n), ((k, attempt, str(state), answer, None, 1, 2) for k, attempt, state, answer in rows)
        )
        for k, attempt, state, answer in rows:
            if k not in newest or newest[k][0] < attempt:
                newest[k] = attempt, state, answer
    shards = Shards(folder)
    shards.use([str(n) for n in range(len(parts))])
    found = shards.find([*newest, b"x" * 15 + b"?"])
    said = {k: (p.attempt, State(p.shard.state(p.row)), p.shard.answer(p.row)[0]) for k, p in found.items()}
    said.pop(b"x" * 15 + b"?", None)
    assert said == {k: value for k, value in newest.items() if k != b"x" * 15 + b"?"}
