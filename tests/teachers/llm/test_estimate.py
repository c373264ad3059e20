"""What a job will cost is said before, and is what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import recdistill as rd
from recdistill.errors import TeacherError
from recdistill.teachers.llm.backends import Endpoint
from recdistill.teachers.llm.candidates import RecommenderCandidates
from recdistill.teachers.llm.estimate import Estimate, estimate
from recdistill.teachers.llm.tasks import Listwise
from recdistill.testing import tiny_split

from ...llm_server import Answer, Asked, LLMServer, answers, letters
from .jobs import offered

SPLIT = tiny_split()


def counting(asked: Asked) -> Answer:
    """Tokens follow the length of the question: one for each word, and two are written."""
    question = next(turn["content"] for turn in asked.body["messages"] if turn["role"] == "user")  # not the reminder
    answer = letters({letter: -float(n) for n, letter in enumerate(offered(question))})
    words = sum(len(turn["content"].split()) for turn in asked.body["messages"])
    answer.body["usage"] = {"prompt_tokens": words, "completion_tokens": 2}
    return answer


def teacher(server: LLMServer, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "task": Listwise(at="all", contexts=200, candidates=RecommenderCandidates(n=6)),
        "prices": {"input": 1e6, "output": 1e6},
    }
    return rd.teachers.LLM(backend=Endpoint(url=server.url), **(settings | changes))


def test_tokens_and_money_are_those_of_the_job(tmp_path: Path) -> None:
    with answers(counting) as server:
        llm = teacher(server)
        before = estimate(llm, SPLIT, tmp_path / "k", sample=24)
        assert len(server.asked) == before.sampled == before.settled == 24
        assert before.questions == 200
        assert before.left == 176
        facts = llm.teach(SPLIT, tmp_path / "k")
        assert len(server.asked) == 200
        after = estimate(llm, SPLIT, tmp_path / "k", sample=24)
        assert len(server.asked) == 200
    read = facts["tokens_in"] - sum(
        len(turn["content"].split()) for asked in server.asked[:24] for turn in asked.body["messages"]
    )
    assert before.tokens_in.low <= before.tokens_in.value <= before.tokens_in.high
    assert before.tokens_in.value == pytest.approx(read, rel=0.1)
    assert before.tokens_out.value == pytest.approx(2 * 176)
    assert before.money is not None
    assert before.money.value == pytest.approx(before.tokens_in.value + before.tokens_out.value)
    assert before.seconds is not None
    assert before.seconds.low <= before.seconds.value <= before.seconds.high
    assert (after.left, after.sampled, after.tokens_in.value, after.seconds) == (0, 0, 0.0, None)


def test_nothing_is_asked_with_a_sample_of_nothing(tmp_path: Path) -> None:
    with answers(counting) as server:
        found: Estimate = estimate(teacher(server, prices={}), SPLIT, tmp_path / "k", sample=0)
        assert not server.asked
    assert (found.settled, found.left, found.seconds, found.money) == (0, 200, None, None)
    assert found.tokens_in.low == pytest.approx(found.tokens_in.value / 2)
    assert found.tokens_in.high == pytest.approx(found.tokens_in.value * 2)
    assert found.tokens_out.value > 0


def test_a_small_sample_says_how_little_it_knows(tmp_path: Path) -> None:
    with answers(counting) as server:
        found = estimate(teacher(server), SPLIT, tmp_path / "k", sample=3)
    assert found.seconds is not None
    assert found.seconds.high == pytest.approx(2 * found.seconds.value)
    assert found.tokens_in.high > found.tokens_in.low


def test_the_sample_is_within_the_budget(tmp_path: Path) -> None:
    with answers(counting) as server:
        with pytest.raises(TeacherError, match="the budget of 4 requests is spent"):
            estimate(teacher(server, budget={"requests": 4}), SPLIT, tmp_path / "k", sample=10)
        assert len(server.asked) == 4


def test_questions_that_are_asked_twice_are_forecast_twice(tmp_path: Path) -> None:
    """Every second question gets no answer that can be read, and is asked again."""

    def script(asked: Asked) -> Answer:
        answer = counting(asked)
        if sum(map(ord, asked.body["messages"][1]["content"])) % 2:
            answer.body["choices"][0] |= {"logprobs": None, "message": {"role": "assistant", "content": "well"}}
        return answer

    with answers(script) as server:
        llm = teacher(server, prices={"request": 1.0}, missing=1.0)
        before = estimate(llm, SPLIT, tmp_path / "k", sample=100)
        paid = len(server.asked)
        assert before.spent.sent == paid > 100
        llm.teach(SPLIT, tmp_path / "k")
    assert before.left == 100
    assert before.requests == pytest.approx(len(server.asked) - paid, rel=0.2)
    assert before.requests > 120
    assert before.money is not None
    assert before.money.value == pytest.approx(before.requests, rel=0.01)
    assert before.tokens_out.value == pytest.approx(2 * (len(server.asked) - paid), rel=0.2)
