"""Everything that an endpoint may do to us."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest

from recdistill.errors import ConfigError, TeacherError
from recdistill.teachers.llm.backends.endpoint import Endpoint
from recdistill.teachers.llm.backends.protocol import read_reply, seconds_to_wait, trouble_of
from recdistill.teachers.llm.engine import run_async
from recdistill.teachers.llm.exchange import Capabilities, Failure, Hopeless, Refusal, Request
from recdistill.teachers.llm.journal import Journal

from ...llm_server import Answer, Asked, answers, chat, letters
from .asking import Numbers, ask

EXCHANGES = Path(__file__).parent / "exchanges"
CHAT = Request("chat", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5})


def probed(url: str, **more: Any) -> Capabilities:
    async def work() -> Capabilities:
        opened = await Endpoint(url=url, **more).open()
        await opened.close()
        return opened.capabilities

    return run_async(work())


def echo(asked: Asked) -> Answer:
    return chat(asked.said.removeprefix("number "))


def test_capabilities_are_found_out() -> None:
    with answers(echo) as server:
        found = probed(server.url)
    assert (found.model, found.identity, found.context) == ("tiny", "tiny", 2048)
    assert (found.top_logprobs, found.json_mode, found.embeddings, found.rerank) == (20, True, False, False)
    assert found.seconds > 0


def test_a_server_that_can_do_little() -> None:
    def script(asked: Asked) -> Answer:
        if asked.path != "/chat/completions":
            return Answer({"detail": "Not Found"}, 404)
        if asked.body.get("top_logprobs", 0) > 5 or "response_format" in asked.body:
            return Answer({"error": {"message": "at most 5"}}, 400)
        return letters({"A": -0.1, "B": -2.0}) if "logprobs" in asked.body else chat("A")

    script.probed = True  # type: ignore[attr-defined]
    with answers(script) as server:
        found = probed(server.url, model="any")
        assert (found.model, found.top_logprobs, found.json_mode, found.context) == ("any", 2, False, None)
        with pytest.raises(TeacherError, match=r"which model shall answer\?; set model$"):
            probed(server.url)


def test_a_server_that_only_embeds_and_ranks() -> None:
    def script(asked: Asked) -> Answer:
        if asked.path == "/models":
            return Answer({"data": [{"id": "e"}]})
        if asked.path == "/embeddings":
            return Answer({"data": [{"embedding": [1, 2.5]}], "usage": {"prompt_tokens": 3}})
        if asked.path == "/rerank":
            return Answer({"results": [{"index": 1, "relevance_score": 0.5}, {"index": 0, "relevance_score": -1}]})
        return Answer({"error": {"message": "no chat"}}, 501)

    script.probed = True  # type: ignore[attr-defined]
    with answers(script) as server:
        found = probed(server.url)
    assert (found.chat, found.embeddings, found.rerank, found.top_logprobs) == (False, True, True, 0)


def test_nobody_there() -> None:
    with answers(echo) as server:
        url = server.url
    start = time.monotonic()
    with pytest.raises(TeacherError, match=r"nobody answers there: .*; start the server, or correct the url"):
        probed(url)
    assert time.monotonic() - start < 20


def test_a_wrong_model_name_is_corrected() -> None:
    with answers(echo) as server, pytest.raises(TeacherError, match=r"has no model 'tinny'; did you mean 'tiny'\?"):
        probed(server.url, model="tinny")


def test_several_models_want_a_choice() -> None:
    def script(asked: Asked) -> Answer:
        return Answer({"data": [{"id": "b"}, {"id": "a"}]}) if asked.path == "/models" else chat("A")

    script.probed = True  # type: ignore[attr-defined]
    with answers(script) as server, pytest.raises(TeacherError, match=r"set model to one of: a, b"):
        probed(server.url)


def test_the_key_comes_from_the_environment_and_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def script(asked: Asked) -> Answer:
        given = asked.headers.get("authorization", "none")
        if given != "Bearer sk-right":
            return Answer({"error": {"message": f"Incorrect API key provided: {given}"}}, 401)
        return Answer({"data": [{"id": "m"}]}) if asked.path == "/models" else chat("1")

    script.probed = True  # type: ignore[attr-defined]
    with answers(script) as server:
        with pytest.raises(TeacherError, match=r"refuses the key .*; set the environment variable MY_KEY to a key"):
            probed(server.url, key_variable="MY_KEY")
        monkeypatch.setenv("MY_KEY", "sk-wrong")
        with pytest.raises(TeacherError) as caught:
            probed(server.url, key_variable="MY_KEY")
        assert "sk-wrong" not in str(caught.value)
        assert "***" in str(caught.value)
        monkeypatch.setenv("MY_KEY", "sk-right")
        assert ask(server.url, tmp_path, Numbers(3), endpoint={"key_variable": "MY_KEY"}).counts == {"answered": 3}
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"sk-right" not in stored
    assert "sk-" not in caplog.text


def test_a_key_with_what_no_header_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(asked: Asked) -> Answer:
        right = asked.headers.get("authorization") == "Bearer sk-right"
        return Answer({"data": [{"id": "m"}]}) if right and asked.path == "/models" else chat("1")

    script.probed = True  # type: ignore[attr-defined]
    with answers(script) as server:
        monkeypatch.setenv("MY_KEY", "sk-right\n")
        assert probed(server.url, key_variable="MY_KEY").model == "m"
        monkeypatch.setenv("MY_KEY", "sk-ri\r\nX-Other: ght")
        with pytest.raises(ConfigError, match=r"^MY_KEY in the environment has a character that no key has$"):
            probed(server.url, key_variable="MY_KEY")


def test_a_key_in_place_of_its_variable_is_refused_and_not_repeated() -> None:
    with pytest.raises(
        ConfigError, match=r"key_variable: is no name of an environment variable; put the key"
    ) as caught:
        Endpoint(key_variable="sk-proj-abc")
    assert "abc" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"url: keys do not belong into a URL; put the key") as caught:
        Endpoint(url="http://user:secret@host/v1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("status", "told"), [
    (500, r"answers nothing: .* \(status 500: out of memory\); see what the server itself says"),
    (429, r"has too much to do \(status 429: out of memory\); run the same command when"),
])  # fmt: skip
def test_why_a_server_answers_nothing(status: int, told: str) -> None:
    """Also while it is looked at: it must not be taken for one that cannot give log-probabilities."""
    trouble = Answer({"error": {"message": "out of memory"}}, status, {"Retry-After": "0.01"})

    def script(asked: Asked) -> Answer:
        return Answer({"data": [{"id": "m"}]}) if asked.path == "/models" else trouble

    script.probed = True  # type: ignore[attr-defined]
    with answers(script) as server, pytest.raises(TeacherError, match=told):
        probed(server.url)


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://a/v1", "http://user:secret@host/v1", "http://a/v1?key=1"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ConfigError, match="URL"):
        Endpoint(url=url)


def test_a_key_that_is_withdrawn_stops_the_job(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        return echo(asked) if asked.count < 30 else Answer({"error": {"message": "expired"}}, 401)

    with answers(script) as server, pytest.raises(TeacherError, match=r"v1: refuses the key \(401: expired\)"):
        ask(server.url, tmp_path, Numbers(500))
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert journal.counts()["answered"] == 30 - 3  # the probe asked three times


def test_a_redirect_is_not_followed() -> None:
    def script(asked: Asked) -> Answer:
        return Answer(b"", 302, {"Location": "http://127.0.0.1:1/v1"})

    script.probed = True  # type: ignore[attr-defined]
    with answers(script) as server, pytest.raises(TeacherError, match=r"has no such model or path \(302"):
        probed(server.url, model="m")


def test_a_server_that_only_dribbles_is_not_waited_for_at_every_path() -> None:
    seen: list[str] = []

    def script(asked: Asked) -> Answer:
        seen.append(asked.path)
        return Answer({"data": [{"id": "m"}]}) if asked.path == "/models" else Answer(echo(asked).body, dribble=0.1)

    script.probed = True  # type: ignore[attr-defined]
    wanted = r"no complete reply within 1 seconds; see whether it answers at all, or raise timeout"
    with answers(script) as server, pytest.raises(TeacherError, match=wanted):
        probed(server.url, timeout=1.0)
    assert not {"/embeddings", "/rerank", "/completions"} & set(seen)


def test_slow_loris_replies_time_out_and_are_recorded(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        slow = Answer(echo(asked).body, dribble=0.1)
        return slow if asked.said == "number 1" else echo(asked)

    with answers(script) as server:
        found = ask(server.url, tmp_path, Numbers(6), endpoint={"timeout": 1.0}, patience={"tries": 1})
        assert found.counts == {"answered": 5, "failed": 1}
        with Journal(tmp_path / "journal.sqlite") as journal:
            known = journal.read([found.keys[1].tobytes()])
        assert [one.why for one in known.values()] == ["no complete reply within 1 seconds"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(chat("12").body, cut=40), "the connection broke"),
        (Answer(json.dumps(chat("12").body).encode()[:60]), "the reply is cut off or no JSON"),
        (Answer(b"<html>Bad gateway</html>"), "the reply is cut off or no JSON: <html>Bad gateway"),
        (Answer([1, 2]), "the reply has another form"),
        (Answer({"choices": []}), "the reply has another form"),
        (Answer({"choices": "none"}), "the reply has another form"),
        (Answer({"error": {"message": "overloaded"}}, 500), "status 500: overloaded"),
        (Answer("teapot", 418), "status 418: teapot"),
    ],
)
def test_broken_replies_are_tried_again_and_then_recorded(tmp_path: Path, answer: Answer, why: str) -> None:
    def script(asked: Asked) -> Answer:
        return answer if asked.said == "number 1" else echo(asked)

    with answers(script) as server:
        found = ask(server.url, tmp_path, Numbers(4), patience={"tries": 2})
        assert found.counts == {"answered": 3, "failed": 1}
        assert len(server.asked) == (4 if answer.status == 418 else 5)
        with Journal(tmp_path / "journal.sqlite") as journal:
            known = journal.read([found.keys[1].tobytes()])
        assert next(iter(known.values())).why.startswith(why)


def test_repetitions_carry_the_same_mark_and_new_attempts_another(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        return Answer("", 500) if asked.twin == 0 and len(asked.body["messages"]) == 1 else chat("no number")

    with answers(script) as server:
        ask(server.url, tmp_path, Numbers(1))
        marks = [asked.headers["idempotency-key"] for asked in server.asked]
    assert marks[0] == marks[1] != marks[2]


def test_parameters_of_the_user(tmp_path: Path) -> None:
    with answers(echo) as server:
        more = {"parameters": {"max_tokens": None, "max_completion_tokens": 9}}
        ask(server.url, tmp_path, Numbers(1), endpoint=more)
        assert server.asked[0].body["max_completion_tokens"] == 9
        assert "max_tokens" not in server.asked[0].body
        assert server.asked[0].body["model"] == "tiny"


def test_a_reply_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recdistill.teachers.llm.backends.endpoint._LARGEST", 2000)

    def script(asked: Asked) -> Answer:
        return Answer(b"x" * 5000) if asked.said == "number 0" else echo(asked)

    with answers(script) as server:
        assert ask(server.url, tmp_path, Numbers(3)).counts == {"answered": 2, "failed": 1}


@pytest.mark.parametrize("file", sorted(EXCHANGES.glob("*.json")), ids=lambda file: file.stem)
def test_recorded_exchanges(file: Path) -> None:
    """Replies in the forms of many servers; each file says where its form is documented."""
    told = json.loads(file.read_text(encoding="utf-8"))
    data = told["body"].encode() if isinstance(told["body"], str) else json.dumps(told["body"]).encode()
    wanted, kinds = told["wanted"], {"failure": Failure, "refusal": Refusal, "hopeless": Hopeless}
    request = Request(told.get("route", "chat"), told.get("request", {}))
    if told["status"] != 200:
        wait = seconds_to_wait(told.get("headers", {}), told.get("now", 0.0))
        trouble = trouble_of(told["status"], data, wait, "THE_KEY")
        assert type(trouble) is kinds[wanted["kind"]]
        assert wanted["why"] in trouble.why
        for name in ("again", "busy", "wait"):
            assert name not in wanted or getattr(trouble, name) == wanted[name]
    elif wanted.get("kind") in kinds:
        with pytest.raises(kinds[wanted["kind"]], match=wanted["why"]):
            read_reply(request, data)
    else:
        reply = read_reply(request, data)
        assert (reply.text, reply.tokens_in, reply.tokens_out) == (wanted["text"], wanted["in"], wanted["out"])
        assert [[token for token, _ in place] for place in reply.top] == wanted.get("top", [])
        assert reply.cut is wanted.get("cut", False)


@pytest.mark.parametrize("value", ["soon", "", "Wed, 99 Oct", "nan", "inf"])
def test_waits_that_cannot_be_read(value: str) -> None:
    assert seconds_to_wait({"retry-after": value}, 0.0) is None
