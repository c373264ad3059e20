"""Likelihoods over HTTP: prompts that are echoed with the log-probabilities of their own tokens."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.errors import TeacherError
from recdistill.teachers.llm.backends.echo import as_completions
from recdistill.teachers.llm.backends.endpoint import Endpoint
from recdistill.teachers.llm.backends.protocol import read_reply
from recdistill.teachers.llm.engine import run_async
from recdistill.teachers.llm.exchange import Failure, Reply, Request

from ...llm_server import Answer, Asked, answers
from .test_endpoint import probed

ASKED = Request("likelihood", {"prefixes": ["a b"], "continuations": [" c d", " e"]})


def choice(index: int, tokens: list[str], logps: list[Any]) -> dict[str, Any]:
    return {"index": index, "text": "".join(tokens), "logprobs": {"tokens": tokens, "token_logprobs": logps}}


def body(**changes: Any) -> dict[str, Any]:
    """What vLLM answers: a token that was written stands behind each prompt."""
    choices = [
        choice(0, ["a", " b", "!"], [None, -1.0, -5.0]),
        choice(1, ["a", " b", " c", " d", "!"], [None, -1.0, -2.0, -3.0, -5.0]),
        choice(2, ["a", " b", " e", "!"], [None, -1.0, -4.0, -5.0]),
    ]
    return {"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": 3}} | changes


def read(said: Any, request: Request = ASKED) -> Reply:
    return read_reply(request, json.dumps(said).encode())


def test_what_is_sent() -> None:
    asked = Request("likelihood", {"prefixes": ["x:", ":"], "continuations": ["a", "b"], "seed": 3}, "p")
    assert as_completions(asked).body == {
        "prompt": ["x:", "x:a", "x:b", ":", ":a", ":b"], "max_tokens": 1, "temperature": 0, "echo": True,
        "logprobs": 1, "seed": 3,
    }  # fmt: skip
    assert asked.texts == 6
    assert asked.size == 3 * 3 + 2 * 2 + 6
    assert asked.most_tokens() == (asked.size, 6)


def test_sums_and_counts() -> None:
    reply = read(body())
    assert reply.numbers is not None
    assert reply.numbers.tolist() == [-5.0, 2, -4.0, 1]
    assert (reply.tokens_in, reply.tokens_out, reply.counted) == (9, 3, True)


def test_choices_in_any_order_and_nothing_written() -> None:
    said = body(usage={"prompt_tokens": 9, "completion_tokens": 0})
    for one in said["choices"]:
        one["logprobs"] = {name: values[:-1] for name, values in one["logprobs"].items()}
    said["choices"].reverse()
    assert read(said).numbers.tolist() == [-5.0, 2, -4.0, 1]  # type: ignore[union-attr]


def test_a_token_across_the_boundary_counts_for_all() -> None:
    said = body()
    said["choices"][1] = choice(1, ["a", " b c", " d", "!"], [None, -2.5, -3.0, -5.0])
    assert read(said).numbers.tolist() == [-5.5, 2, -5.0, 2]  # type: ignore[union-attr]


def test_without_counts_rather_too_many() -> None:
    reply = read(body(usage=None))
    assert not reply.counted
    assert (reply.tokens_in, reply.tokens_out) == ASKED.charged()
    assert reply.tokens_in == math.ceil(ASKED.size / 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"choices": body()["choices"][:2]}, "2 answers to 3 prompts"),
        ({"choices": [*body()["choices"][:2], body()["choices"][1]]}, "3 answers to 3 prompts"),
        ({"choices": [choice(at, ["!"], [-5.0]) for at in range(3)]}, "log-probabilities of 1 tokens"),
        ({"choices": [{"index": at, "text": "!", "logprobs": None} for at in range(3)]}, "NoneType"),
        ({"choices": [{"index": at, "logprobs": {"content": []}} for at in range(3)]}, "KeyError: 'tokens'"),
        ({"choices": [choice(at, ["a", "b", "!"], [None, None, -1.0]) for at in range(3)]}, "TypeError"),
        ({"choices": [choice(at, ["a", "b", "!"], [None, math.nan, -1.0]) for at in range(3)]}, "no log-probability"),
        ({"choices": [choice(at, ["a", "b", "!"], [None, 0.5, -1.0]) for at in range(3)]}, "no log-probability"),
        ({"choices": [choice(at, ["a", "b", "!"], [None, -0.5]) for at in range(3)]}, "2 log-probabilities of 3"),
        ({"choices": []}, "0 answers to 3 prompts"),
        ({"error": {"message": "echo is not supported"}, "choices": None}, "TypeError"),
    ],
)
def test_odd_replies_are_no_likelihood_and_not_asked_again(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Failure, match="no log-probabilities of the texts given") as told:
        read(body(**changes))
    assert message in told.value.why
    assert not told.value.again


logp = st.one_of(st.floats(-30, 0, width=32), st.none(), st.floats(), st.text(max_size=2))
tokens = st.lists(st.tuples(st.text("ab ", max_size=2), logp), max_size=6)
odd = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["index", "tokens", "x"]), inner),
    max_leaves=8,
)


@given(st.lists(tokens.map(lambda some: choice(0, [t for t, _ in some], [p for _, p in some])) | odd, max_size=4), odd)
def test_whatever_comes_is_read_or_refused(choices: list[Any], usage: Any) -> None:
    for at, one in enumerate(choices):
        if isinstance(one, dict) and "logprobs" in one:
            one["index"] = at
    try:
        reply = read({"choices": choices, "usage": usage})
    except Failure:
        return
    assert reply.numbers is not None
    assert reply.numbers.shape == (4,)
    assert np.isfinite(reply.numbers).all()
    assert (reply.numbers[1::2] >= 1).all()
    assert (reply.numbers[::2] <= 0).all()


@given(st.lists(st.lists(st.floats(-30, 0, width=32), min_size=1, max_size=4), min_size=1, max_size=4))
def test_any_continuations_come_back_as_their_sums(ends: list[list[float]]) -> None:
    said = [choice(0, ["a", "b", "!"], [None, -1.0, -1.0])]
    for at, end in enumerate(ends):
        words = [f"{at}.{number}" for number in range(len(end))]
        said.append(choice(at + 1, ["a", "b", *words, "!"], [None, -1.0, *end, -1.0]))
    request = Request("likelihood", {"prefixes": ["ab"], "continuations": ["x"] * len(ends)})
    numbers = read({"choices": said, "usage": {"completion_tokens": len(said)}}, request).numbers
    assert numbers is not None
    np.testing.assert_allclose(numbers[::2], [sum(end) for end in ends], rtol=1e-5, atol=1e-5)
    assert numbers[1::2].tolist() == [len(end) for end in ends]


def echoing(asked: Asked) -> Answer:
    """A server of base models: words are tokens, the likelier the shorter; it cannot chat."""
    if asked.path == "/models":
        return Answer({"data": [{"id": "base"}]})
    if asked.path != "/completions":
        return Answer({"error": {"message": "not here"}}, 404 if asked.path != "/chat/completions" else 400)
    choices = []
    for at, prompt in enumerate(asked.body["prompt"]):
        words = prompt.split()
        logps = [None, *(-float(len(word)) for word in words[1:])]
        choices.append(choice(at, [*words, "."], [*logps, -1.0]))
    return Answer({"choices": choices, "usage": {"prompt_tokens": 1, "completion_tokens": len(choices)}})


echoing.probed = True  # type: ignore[attr-defined]


def test_it_is_found_out_and_asked_over_http() -> None:
    async def work(url: str) -> Reply:
        opened = await Endpoint(url=url, parameters={"seed": 1}).open()
        try:
            return await opened.ask(opened.completed(ASKED), "mark")
        finally:
            await opened.close()

    with answers(echoing) as server:
        found = probed(server.url)
        assert (found.likelihood, found.chat, found.top_logprobs) == (True, False, 0)
        assert run_async(work(server.url)).numbers.tolist() == [-2.0, 2, -1.0, 1]  # type: ignore[union-attr]


def test_a_server_that_echoes_nothing_has_no_likelihood() -> None:
    """As servers do that ignore ``echo``: only the token that was written has a log-probability."""

    def script(asked: Asked) -> Answer:
        if asked.path != "/completions":
            return echoing(asked)
        return Answer({"choices": [choice(at, ["."], [-1.0]) for at in range(len(asked.body["prompt"]))]})

    script.probed = True  # type: ignore[attr-defined]
    with answers(script) as server, pytest.raises(TeacherError, match=r"answers nothing: no chat, .* no likelihood"):
        probed(server.url)
