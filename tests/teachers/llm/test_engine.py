from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recdistill.errors import RecdistillError, TeacherError
from recdistill.teachers.llm.engine import replies, run_async
from recdistill.teachers.llm.exchange import Reply, Request
from recdistill.teachers.llm.journal import Journal, State

from ...llm_server import Answer, Asked, answers, chat
from .asking import Numbers, ask


def echo(asked: Asked) -> Answer:
    return chat(asked.said.removeprefix("number "))


def answers_of(folder: Path, found: object) -> list[str | None]:
    with Journal(folder / "journal.sqlite") as journal:
        return [None if reply is None else reply.text for _, reply in replies(journal, found)]  # type: ignore[arg-type]


def test_every_question_is_asked_once_and_answers_come_in_order(tmp_path: Path) -> None:
    with answers(echo) as server:
        found = ask(server.url, tmp_path, Numbers(300, none=(7, 250)))
        assert found.counts == {"answered": 298, "empty": 2}
        assert (found.spent.sent, found.spent.tokens_in, found.spent.tokens_out) == (298, 2980, 596)
        expected = [None if number in (7, 250) else str(number) for number in range(300)]
        assert answers_of(tmp_path, found) == expected
        assert len(server.asked) == 298
        again = ask(server.url, tmp_path, Numbers(300, none=(7, 250)))
        assert (len(server.asked), again.spent.sent) == (298, 0)
        assert answers_of(tmp_path, again) == expected


def test_some_numbers_only(tmp_path: Path) -> None:
    with answers(echo) as server:
        found = ask(server.url, tmp_path, Numbers(50), numbers=np.array([40, 3]))
        assert answers_of(tmp_path, found) == ["40", "3"]
        assert sorted(asked.said for asked in server.asked) == ["number 3", "number 40"]


def test_equal_questions_are_asked_once(tmp_path: Path) -> None:
    with answers(echo) as server:
        found = ask(server.url, tmp_path, Numbers(400, twins=3))
        assert answers_of(tmp_path, found) == [str(number % 3) for number in range(400)]
        assert found.counts == {"answered": 400}
        assert len(server.asked) == 3


def test_the_same_question_of_another_model_or_prompt_is_another(tmp_path: Path) -> None:
    body = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1}
    keys = {
        Request("chat", body, "p").key("m"),
        Request("chat", body, "p2").key("m"),
        Request("chat", body, "p").key("m2"),
        Request("chat", body | {"max_tokens": 2}, "p").key("m"),
        Request("rerank", body, "p").key("m"),
    }
    assert len(keys) == 5
    assert Request("chat", dict(reversed(body.items())), "p").key("m") in keys


def test_a_megabyte_that_cannot_be_read_is_neither_sent_back_nor_kept(tmp_path: Path) -> None:
    sizes: list[int] = []

    def script(asked: Asked) -> Answer:
        sizes.append(sum(len(turn["content"]) for turn in asked.body["messages"]))
        return chat("5" if len(asked.body["messages"]) == 3 else "x" * 1_000_000)

    with answers(script) as server:
        found = ask(server.url, tmp_path, Numbers(1), again={"unparsable": 2})
        assert found.counts == {"answered": 1}
    assert max(sizes) < 5_000
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 300_000


def test_what_cannot_be_read_is_asked_again_with_a_reminder(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        reminded = len(asked.body["messages"]) == 3
        return chat("5" if reminded and "number 1" in asked.body["messages"][0]["content"] else "well")

    with answers(script) as server:
        found = ask(server.url, tmp_path, Numbers(2), again={"unparsable": 2})
        assert found.counts == {"answered": 1, "unparsable": 1}
        assert answers_of(tmp_path, found) == [None, "5"]
        with Journal(tmp_path / "journal.sqlite") as journal:
            assert journal.reasons() == ["in another form than asked for: 'well' (4 times)"]
        assert len(server.asked) == 2 + 3
        turns = next(asked.body["messages"] for asked in server.asked if len(asked.body["messages"]) == 3)
        assert turns[1:] == [
            {"role": "assistant", "content": "well"},
            {"role": "user", "content": "Answer with a number."},
        ]
        ask(server.url, tmp_path, Numbers(2), again={"unparsable": 2})
        assert len(server.asked) == 5
        more = ask(server.url, tmp_path, Numbers(2), again={"unparsable": 3})
        assert (len(server.asked), more.counts) == (6, {"answered": 1, "unparsable": 1})


@pytest.mark.parametrize("kept", ["in one run", "in two", "in a shard"])
def test_each_thing_that_becomes_of_a_question_has_tries_of_its_own(tmp_path: Path, kept: str) -> None:
    said = [chat(None, "content_filter"), chat("well"), chat("5")]

    with answers(lambda asked: said[len(server.asked)]) as server:
        if kept != "in one run":
            assert ask(server.url, tmp_path, Numbers(1)).counts == {"refused": 1}
        if kept == "in a shard":
            with Journal(tmp_path / "journal.sqlite") as journal:
                journal.compact()
        found = ask(server.url, tmp_path, Numbers(1), again={"refused": 1, "unparsable": 1})
        assert found.counts == {"answered": 1}
        assert [len(asked.body["messages"]) for asked in server.asked] == [1, 1, 3]


def test_tries_of_earlier_runs_count(tmp_path: Path) -> None:
    said = [chat(None, "content_filter"), chat("well"), chat(None, "content_filter"), chat("well"), chat("5")]
    rules = [{"refused": 0}, {"refused": 1, "unparsable": 0}, {"refused": 1, "unparsable": 1}, {"unparsable": 2}]
    with answers(lambda asked: said[len(server.asked)]) as server:
        found = [ask(server.url, tmp_path, Numbers(1), again=rule).counts for rule in rules]
        assert found == [{"refused": 1}, {"unparsable": 1}, {"refused": 1}, {"refused": 1}]
        assert len(server.asked) == 3
        assert ask(server.url, tmp_path, Numbers(1), again={"refused": 2, "unparsable": 2}).counts == {"answered": 1}
        with Journal(tmp_path / "journal.sqlite") as journal:
            request = Numbers(1).request(0)
            assert request is not None
            key = request.key("tiny")
            assert journal.known([key])[key].times == {State.REFUSED: 2, State.UNPARSABLE: 2}
            journal.compact()
            assert journal.known([key])[key].times == {State.REFUSED: 2, State.UNPARSABLE: 2}


def test_who_declines_in_words_is_not_asked_again(tmp_path: Path) -> None:
    with answers(lambda asked: chat("I'm sorry, but I can't help with that.")) as server:
        found = ask(server.url, tmp_path, Numbers(1))
        assert found.counts == {"refused": 1}
        assert len(server.asked) == 1
        with Journal(tmp_path / "journal.sqlite") as journal:
            assert journal.reasons() == ["declined: \"I'm sorry, but I can't help with that.\" (1 times)"]
        ask(server.url, tmp_path, Numbers(1), again={"refused": 1})
        assert [len(asked.body["messages"]) for asked in server.asked] == [1, 1]


def test_refusals_and_failures_are_recorded_with_their_reason(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        if asked.said == "number 1":
            return chat(None, "content_filter")
        if asked.said == "number 2":
            return Answer({"error": {"message": "too long", "type": "exceed_context_size_error"}}, 400)
        return echo(asked)

    with answers(script) as server:
        found = ask(server.url, tmp_path, Numbers(5))
        assert found.counts == {"answered": 3, "refused": 1, "failed": 1}
        with Journal(tmp_path / "journal.sqlite") as journal:
            known = journal.read([key.tobytes() for key in found.keys])
            assert known[found.keys[1].tobytes()].why == "taken away by a filter"
            assert known[found.keys[2].tobytes()].why == "status 400: too long"
        asked = len(server.asked)
        ask(server.url, tmp_path, Numbers(5), again={"failed": False})
        assert len(server.asked) == asked
        ask(server.url, tmp_path, Numbers(5), again={"refused": 1})
        assert len(server.asked) == asked + 2  # the refused one, and the failed one as this is a later run


def test_passing_trouble_is_waited_out(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        return Answer({"error": "boom"}, 500) if asked.twin == 0 and asked.said == "number 0" else echo(asked)

    with answers(script) as server:
        found = ask(server.url, tmp_path, Numbers(3))
        assert found.counts == {"answered": 3}
        assert found.spent.sent == 4


def test_a_storm_of_429_is_weathered_and_slows_the_engine_down(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        busy = Answer({"error": {"message": "slow down"}}, 429, {"Retry-After": "0.2"})
        return busy if asked.count < 60 else echo(asked)

    with answers(script) as server:
        start = time.monotonic()
        found = ask(server.url, tmp_path, Numbers(30), patience={"seconds": 30.0})
        assert found.counts == {"answered": 30}
        assert time.monotonic() - start > 0.4
        assert found.spent.sent >= 90 - 8


def test_a_storm_that_does_not_end_stops_the_job_with_a_line(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        return echo(asked) if asked.said == "number 0" else Answer({"error": {"message": "slow down"}}, 429)

    with (
        answers(script) as server,
        pytest.raises(TeacherError, match=r"v1: no answer for \d+ seconds \(status 429: slow down\); 1 new answers"),
    ):
        ask(server.url, tmp_path, Numbers(9), patience={"seconds": 1.0})


def test_a_server_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        if asked.count == 20:
            threading.Thread(target=server.close, daemon=True).start()
        return Answer(echo(asked).body, delay=0.02)

    with answers(script) as server, pytest.raises(TeacherError, match=r"no answer for .*nobody answers there"):
        ask(server.url, tmp_path, Numbers(200), patience={"seconds": 1.0})
    with answers(echo) as other:
        found = ask(other.url, tmp_path, Numbers(200))
        assert found.counts == {"answered": 200}
        assert 100 < len(other.asked) < 190


def test_an_endpoint_that_fails_at_everything_is_left_alone(tmp_path: Path) -> None:
    with (
        answers(lambda asked: Answer({"error": {"message": "no tools here"}}, 400)) as server,
        pytest.raises(TeacherError, match=r"answers nothing|20 questions and no answer"),
    ):
        ask(server.url, tmp_path, Numbers(900))
    assert len(server.asked) < 40


@pytest.mark.parametrize(
    ("budget", "prices", "most", "words"),
    [
        ({"requests": 12}, {}, 12, "12 requests"),
        ({"tokens": 500}, {}, 41, "500 tokens"),
        ({"money": 0.5}, {"input": 1000, "output": 10_000}, 16, "0.5 USD"),
        ({"hours": 0.0}, {}, 0, "0 hours"),
    ],
)
def test_a_budget_is_never_exceeded(
    tmp_path: Path, budget: dict[str, float], prices: dict[str, float], most: int, words: str
) -> None:
    with answers(echo) as server:
        for _ in range(2):  # of all runs together
            with pytest.raises(TeacherError, match=rf"the budget of {words} is spent .* of 300 questions are open"):
                ask(server.url, tmp_path, Numbers(300), budget=budget, prices=prices)
        assert most * 0.5 <= len(server.asked) <= most
        assert ask(server.url, tmp_path, Numbers(300)).counts == {"answered": 300}
        assert len(server.asked) == 300


def test_rates_are_kept(tmp_path: Path) -> None:
    with answers(echo) as server:
        start = time.monotonic()
        ask(server.url, tmp_path, Numbers(40), pace={"requests_per_minute": 1200})
        # a tenth of a minute's worth at once is more than these, so only the token limit slows
        assert time.monotonic() - start < 5
        start = time.monotonic()
        ask(server.url, tmp_path / "b", Numbers(30), pace={"requests_per_minute": 200})
        assert time.monotonic() - start > 2


def test_two_jobs_on_one_journal_ask_nothing_twice(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        return Answer(echo(asked).body, delay=0.01)

    with answers(script) as server:
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(ask(server.url, tmp_path, Numbers(200)))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [one.counts for one in found] == [{"answered": 200}] * 2
        assert len(server.asked) == 200
        assert answers_of(tmp_path, found[0]) == answers_of(tmp_path, found[1])


def test_killed_at_any_moment_it_goes_on(tmp_path: Path) -> None:
    """Nothing that was filed is asked again, and only what was under way may be."""

    def script(asked: Asked) -> Answer:
        return Answer(echo(asked).body, delay=0.02)

    code = (
        "import sys; from pathlib import Path; from tests.teachers.llm.asking import *\n"
        "ask(sys.argv[1], Path(sys.argv[2]), Numbers(300))\n"
    )
    root = Path(__file__).parents[3]
    with answers(script) as server:
        command = [sys.executable, "-c", code, server.url, str(tmp_path)]
        filed = set()
        for enough in (40, 120):
            with subprocess.Popen(command, cwd=root, env=os.environ | {"PYTHONPATH": f"{root}/src"}) as job:
                while len(server.asked) < enough and job.poll() is None:
                    time.sleep(0.005)
                job.send_signal(signal.SIGKILL)
            before = len(server.asked)
            with Journal(tmp_path / "journal.sqlite") as journal:
                rows = journal._db.execute("SELECT key FROM answers").fetchall()
            filed |= {row[0] for row in rows}
            assert before - len(filed) <= 2 * 8
        numbers = Numbers(300)
        sent = [asked.said for asked in server.asked]
        found = ask(server.url, tmp_path, numbers)
        later = [asked.said for asked in server.asked[len(sent) :]]
        known = {f"number {n}" for n in range(300) if found.keys[n].tobytes() in filed}
        assert not known & set(later)
        assert answers_of(tmp_path, found) == [str(number) for number in range(300)]
        with Journal(tmp_path / "journal.sqlite", "job") as journal:
            assert len(server.asked) - 300 <= journal.spent().lost <= 16


def test_an_interrupt_waits_for_what_is_under_way(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.teachers.llm.asking import *\n"
        "ask(sys.argv[1], Path(sys.argv[2]), Numbers(300))\n"
    )
    root = Path(__file__).parents[3]
    with answers(lambda asked: Answer(echo(asked).body, delay=0.1)) as server:
        command = [sys.executable, "-c", code, server.url, str(tmp_path)]
        with subprocess.Popen(
            command, cwd=root, env=os.environ | {"PYTHONPATH": f"{root}/src"}, stderr=subprocess.PIPE
        ) as job:
            while len(server.asked) < 20:
                time.sleep(0.005)
            job.send_signal(signal.SIGINT)
            job.communicate()
        with Journal(tmp_path / "journal.sqlite", "job") as journal:
            assert journal.counts()["answered"] == len(server.asked) < 300
            assert journal.spent().lost == 0


def test_a_defect_of_ours_does_not_make_a_question_vanish(tmp_path: Path) -> None:
    class Broken(Numbers):
        def readable(self, number: int, reply: Reply) -> bool:
            raise ZeroDivisionError

    with answers(echo) as server, pytest.raises(ZeroDivisionError):
        ask(server.url, tmp_path, Broken(20))


def test_it_runs_where_a_loop_runs_already() -> None:
    async def inner() -> int:
        await asyncio.sleep(0)
        return 3

    async def outer() -> int:
        return run_async(inner())

    assert asyncio.run(outer()) == 3


def test_other_parameters_are_another_question(tmp_path: Path) -> None:
    with answers(echo) as server:
        for parameters, asked in (({}, 3), ({"temperature": 0.7}, 6), ({"temperature": 0.7}, 6), ({}, 6)):
            ask(server.url, tmp_path, Numbers(3), endpoint={"parameters": parameters})
            assert len(server.asked) == asked


def test_tokens_that_the_user_allows_are_set_aside(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 300, "total_tokens": 310}
    unlimited: dict[str, Any] = {"max_tokens": None}
    for number, parameters in enumerate(({"max_tokens": 300}, unlimited, unlimited | {"n": 3})):
        changes = {"endpoint": {"parameters": parameters}, "budget": {"tokens": 8000}}
        with (
            answers(lambda asked: chat("1", usage=usage)) as server,
            pytest.raises(TeacherError, match=r"the budget of 8,000 tokens is spent"),
        ):
            ask(server.url, tmp_path / str(number), Numbers(60), **changes)
        assert len(server.asked) * 310 <= 8000
        assert len(server.asked) > 0 or parameters.get("n") == 3  # whose dearest course is above the whole budget


def test_a_server_that_does_not_count_tokens_is_charged_for_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        answers(lambda asked: chat("1", usage=None)) as server,
        pytest.raises(TeacherError, match=r"the budget of 1,000 tokens is spent"),
    ):
        ask(server.url, tmp_path, Numbers(60), budget={"tokens": 1000})
    question = Numbers(60).request(10)
    assert question is not None
    each = -(-len(question.encoded) // 2) + 5
    assert len(server.asked) <= 1000 // each + 10  # those with one digit are a little shorter
    assert len(server.asked) > 5
    assert sum("does not count tokens" in record.message for record in caplog.records) == 1


def test_a_budget_holds_for_two_processes_on_one_journal(tmp_path: Path) -> None:
    """But for what the other has under way."""
    most, errors = 2, list[TeacherError]()

    def work(offset: int) -> None:
        numbers = np.arange(offset, offset + 100)
        try:
            pace = {"start": most, "most": most}
            ask(server.url, tmp_path, Numbers(200), numbers=numbers, budget={"requests": 20}, pace=pace)
        except TeacherError as error:
            errors.append(error)

    with answers(lambda asked: Answer(echo(asked).body, delay=0.05)) as server:
        threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(errors) == 2
        assert 20 <= len(server.asked) <= 20 + most


def test_what_could_not_be_filed_is_filed_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, calls = Journal.commit, []

    def fails_once(self: Journal, *arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise RecdistillError("cannot be written (disk full)")
        return commit(self, *arguments)

    monkeypatch.setattr(Journal, "commit", fails_once)
    with answers(echo) as server:
        with pytest.raises(RecdistillError, match="disk full"):
            ask(server.url, tmp_path, Numbers(50))
        with Journal(tmp_path / "journal.sqlite", "job") as journal:
            assert journal.counts()["answered"] == len(server.asked) == journal.spent().sent > 0


def test_an_end_is_not_waited_for(tmp_path: Path) -> None:
    """Neither where a server asks to wait for a minute."""

    def script(asked: Asked) -> Answer:
        if asked.said == "number 0":
            return Answer({"error": {"message": "later"}}, 503, {"Retry-After": "120"})
        return Answer({"error": {"message": "who?"}}, 401, delay=0.5)

    start = time.monotonic()
    with answers(script) as server, pytest.raises(TeacherError, match="refuses the key"):
        ask(server.url, tmp_path, Numbers(4), patience={"seconds": 300.0})
    assert time.monotonic() - start < 100


def test_a_server_that_asks_for_more_patience_than_there_is(tmp_path: Path) -> None:
    later = Answer({"error": {"message": "later"}}, 429, {"Retry-After": "900"})
    with (
        answers(lambda asked: later) as server,
        pytest.raises(TeacherError, match=r"asks to wait for 900 seconds, longer than patience.seconds"),
    ):
        ask(server.url, tmp_path, Numbers(4), patience={"seconds": 300.0})


def test_a_server_that_goes_bad_is_waited_for_and_then_left_alone(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        return echo(asked) if asked.count < 32 else Answer({"error": "bad gateway"}, 502)

    with (
        answers(script) as server,
        pytest.raises(TeacherError, match=r"no answer for \d+ seconds \(status 502: bad gateway\)"),
    ):
        ask(server.url, tmp_path, Numbers(400), patience={"tries": 1, "seconds": 1.0})
    with Journal(tmp_path / "journal.sqlite", "job") as journal:
        assert journal.counts()["failed"] <= 20
