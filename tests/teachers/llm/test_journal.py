from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.errors import RecdistillError, TeacherError
from recdistill.teachers.llm.budget import Budget, Prices, Purse
from recdistill.teachers.llm.exchange import Reply
from recdistill.teachers.llm.journal import Claim, Journal, Outcome, Spent, State

A, B, C = (bytes([letter]) * 16 for letter in b"abc")


def answered(key: bytes, text: str = "yes", attempt: int = 0) -> Outcome:
    return Outcome(key, attempt, State.ANSWERED, Reply(text).pack(), "", 10, 2)


def test_an_answer_is_filed_and_never_claimed_again(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", "job") as journal:
        assert journal.commit([(A, 0), (B, 0)]) == [Claim.YOURS, Claim.YOURS]
        assert journal.commit([(A, 0)], [answered(A)], 1.5) == [Claim.SETTLED]
        assert journal.known([A, B, C])[A].state is State.ANSWERED
        assert set(journal.read([A, B])) == {A}
        assert journal.read([A])[A].reply == Reply("yes")
        assert journal.spent() == Spent(1, 10, 2, 1.5)
    with Journal(tmp_path / "j", "other") as journal:
        assert journal.commit([(A, 0), (B, 0)]) == [Claim.SETTLED, Claim.YOURS]
        assert journal.spent() == Spent()
        assert journal.counts() == {"answered": 1}


def test_what_could_not_be_used_is_kept_and_may_be_asked_again(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.commit([(A, 0)])
        unread = Outcome(A, 0, State.UNPARSABLE, Reply("hm").pack())
        assert journal.commit([(A, 1)], [unread]) == [Claim.YOURS]
        known = journal.read([A])[A]
        assert (known.state, known.attempt, known.reply) == (State.UNPARSABLE, 0, Reply("hm"))
        journal.commit([], [answered(A, attempt=1)])
        assert journal.known([A])[A].attempt == 1
        journal.commit([(B, 0)], [Outcome(C, 0, State.REFUSED, None, "no")])
        assert journal.read([C])[C].why == "no"
        assert journal.counts() == {"answered": 1, "refused": 1, "unparsable": 1}


def test_two_processes_share_it(tmp_path: Path) -> None:
    script = (
        "import sys; from recdistill.teachers.llm.journal import Journal\n"
        "j = Journal(sys.argv[1]); j.commit([(b'a' * 16, 0), (b'b' * 16, 0)])\n"
        "print('ready', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "j")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        with Journal(tmp_path / "j", "job") as journal:
            assert journal.commit([(A, 0), (C, 0)]) == [Claim.TAKEN, Claim.YOURS]
            other.kill()
            other.wait()
            assert journal.commit([(A, 0), (B, 0)]) == [Claim.YOURS, Claim.YOURS]
            assert journal.spent().lost == 2
        assert list((tmp_path / "j-owners").iterdir()) == []


def test_what_is_given_back_or_left_at_the_end_is_free(tmp_path: Path) -> None:
    first, second = Journal(tmp_path / "j"), Journal(tmp_path / "j")
    first.commit([(A, 0), (B, 0)])
    assert second.commit([(A, 0)]) == [Claim.TAKEN]
    first.give_back([A])
    assert second.commit([(A, 0), (B, 0)]) == [Claim.YOURS, Claim.TAKEN]
    first.close()
    assert second.commit([(B, 0)]) == [Claim.YOURS]
    assert second.spent().lost == 0
    second.close()


def test_many_keys_at_once(tmp_path: Path) -> None:
    keys = [number.to_bytes(16, "big") for number in range(1300)]
    with Journal(tmp_path / "j") as journal:
        journal.commit([], [answered(key) for key in keys[::2]])
        assert set(journal.known(keys)) == set(keys[::2])


@given(
    st.text(),
    st.lists(st.lists(st.tuples(st.text(max_size=4), st.floats(-50, 0)), max_size=5), max_size=3),
    st.booleans(),
    st.lists(st.floats(-1e6, 1e6, width=32), max_size=8),
)
def test_replies_come_back(text: str, top: list[list[tuple[str, float]]], cut: bool, numbers: list[float]) -> None:
    vector = np.array(numbers, dtype=np.float32)
    back = Reply.unpack(Reply(text, top, cut, vector if len(numbers) else None, 5, 6).pack())
    assert back.text == text.encode("utf-8", "replace").decode()
    assert back.cut is cut
    for place, known in zip(back.top, top, strict=True):
        assert [token for token, _ in place] == [token.encode("utf-8", "replace").decode() for token, _ in known]
        assert np.allclose([logp for _, logp in place], [logp for _, logp in known], atol=1e-5)
    if numbers:
        assert back.numbers is not None
        np.testing.assert_array_equal(back.numbers, vector)


def test_files_that_are_no_journals(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, but long enough to be looked at" * 99)
    with pytest.raises(TeacherError, match=r"text: is no journal of answers"):
        Journal(tmp_path / "text")
    with sqlite3.connect(tmp_path / "other") as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()
    with pytest.raises(TeacherError, match="is a database, but no journal"):
        Journal(tmp_path / "other")
    assert list((tmp_path / "other-owners").iterdir()) == []
    Journal(tmp_path / "j").close()
    for version, hint in ((7, "upgrade recdistill"), (-1, "name another file")):
        with sqlite3.connect(tmp_path / "j") as db:
            db.execute(f"PRAGMA user_version = {version}")
        db.close()
        with pytest.raises(TeacherError, match=f"journal of format {version}.*{hint}"):
            Journal(tmp_path / "j")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecdistillError, match="cannot be written"):
        Journal(tmp_path / "file" / "j")


def test_a_full_disk_is_one_line_and_keeps_what_was_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.commit([(A, 0)], [answered(B)])
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    big = [answered(number.to_bytes(16, "big"), "x" * 3000) for number in range(50)]
    with pytest.raises(RecdistillError, match=r"cannot be written \(database or disk is full\); answers until now"):
        journal.commit([], big)
    journal.close()
    with Journal(tmp_path / "j") as journal:
        assert journal.counts() == {"answered": 1}


def test_an_owner_that_ended_between_two_steps(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j")
    (tmp_path / "j-owners" / "0123").write_bytes(b"")  # left by a process that died before it had its lock
    with Journal(tmp_path / "j"):
        assert [file.name for file in (tmp_path / "j-owners").iterdir() if file.name == "0123"] == []
    first.close()


def test_many_open_a_new_journal_at_once(tmp_path: Path) -> None:
    for round_number in range(10):
        barrier, path = threading.Barrier(8), tmp_path / f"j{round_number}"

        def work(barrier: threading.Barrier = barrier, path: Path = path) -> None:
            barrier.wait()
            Journal(path).close()

        with ThreadPoolExecutor(8) as pool:
            for opened in [pool.submit(work) for _ in range(8)]:
                opened.result()


def test_a_commit_tells_what_another_process_has_spent(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", "job") as one, Journal(tmp_path / "j", "job") as other:
        purse = Purse(Budget(requests=3), Prices(), one.spent())
        other.commit([], [answered(A), answered(B)])
        one.commit([(C, 0)])
        purse.align(*one.account)
        assert (purse.spent.sent, purse.spent.tokens_in) == (2, 20)
        assert purse.reserve((20, 5))
        purse.settle((20, 5), 10, 2)  # its own, which the purse knows of before it is filed
        one.commit([], [answered(C)])
        purse.align(*one.account)
        assert (purse.spent.sent, purse.spent.tokens_in, purse.spent.tokens_out) == (3, 30, 6)
