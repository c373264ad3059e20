"""The whole way: an endpoint is asked, and stores are written."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import pytest

import recdistill as rd
from recdistill.errors import ConfigError, TeacherError
from recdistill.knowledge import Knowledge
from recdistill.teachers.llm.backends import Endpoint
from recdistill.teachers.llm.budget import in_money
from recdistill.teachers.llm.candidates import (
    MixedCandidates,
    RandomCandidates,
    RecommenderCandidates,
    TeacherCandidates,
)
from recdistill.teachers.llm.tasks import Listwise, Relevance
from recdistill.testing import tiny_split

from ...llm_server import Answer, Asked, LLMServer, answers, chat, letters
from .jobs import offered, shown_history

SPLIT = tiny_split()


def chain(asked: Asked) -> Answer:
    """Likes the item after the newest."""
    newest, candidates = shown_history(asked.said)[-1], offered(asked.said)
    return letters({letter: -0.1 - 0.3 * min(abs(item - newest - 1), 12) for letter, item in candidates.items()})


def teacher(server: LLMServer, **changes: Any) -> Any:
    settings: dict[str, Any] = {"task": Listwise(contexts=12, candidates=RecommenderCandidates(n=6))}
    settings["backend"] = Endpoint(url=server.url)
    return rd.teachers.LLM(**(settings | changes))


def contents(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "rankings" in str(file)
    }


def test_the_way_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with answers(chain) as server:
        llm = teacher(server)
        knowledge = rd.teach(llm, SPLIT)
        assert knowledge.kinds() == ("rankings",)
        asked = len(server.asked)
        assert asked == 12
        again = rd.teach(llm, SPLIT)
        assert again.digest() == knowledge.digest()
        more = rd.teach(teacher(server, task=Listwise(contexts=20, candidates=RecommenderCandidates(n=6))), SPLIT)
        assert len(server.asked) < 32  # what both jobs ask is asked once
        student = rd.distill(rd.models.SASRec(dim=8, blocks=1), SPLIT, more, training=rd.training.Training(epochs=1))
    assert student.n_items == SPLIT.n_items
    assert (tmp_path / ".recdistill" / "journal.sqlite").is_file()


def test_facts_tell_what_it_cost(tmp_path: Path) -> None:
    with answers(chain) as server:
        priced = teacher(server, prices={"input": 1000, "output": 2000, "currency": "EUR"})
        facts = priced.teach(SPLIT, tmp_path / "k", "gpt")
        assert priced.teach(SPLIT, tmp_path / "k", "gpt") == facts
    assert facts["questions"] == {"answered": 12}
    assert (facts["tokens_in"], facts["tokens_out"], facts["money"]) == (120, 24, "0.17 EUR")
    assert facts["model"] == "tiny"
    assert Knowledge.open(tmp_path / "k").rankings("gpt")[0].manifest.teacher == "gpt"


def test_what_another_teacher_has_left_is_not_taken_for_its_own(tmp_path: Path) -> None:
    with answers(chain) as server:
        llm = teacher(server)
        facts = llm.teach(SPLIT, tmp_path / "k", "gpt")
        slower = teacher(server, backend=Endpoint(url=server.url, timeout=7.0))
        assert slower.teach(SPLIT, tmp_path / "k", "gpt") == facts
        others = {
            "task": Listwise(contexts=12, candidates=RecommenderCandidates(n=6), rest=0.3),
            "backend": Endpoint(url=server.url, model="another"),
        }
        for name, value in others.items():
            with pytest.raises(TeacherError, match="another model, task or data set"):
                teacher(server, **{name: value}).teach(SPLIT, tmp_path / "k", "gpt")
        with pytest.raises(TeacherError, match="another model, task or data set"):
            llm.teach(tiny_split(seed=5), tmp_path / "k", "gpt")


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0.00"), (1250.0, "1,250.00"), (0.17, "0.17"), (0.0912, "0.09"), (0.0014, "0.0014"), (3e-7, "0.00000030")],
)
def test_small_amounts_are_not_rounded_to_nothing(value: float, words: str) -> None:
    assert in_money(value) == words


def test_a_store_is_the_same_after_an_interruption(tmp_path: Path) -> None:
    with answers(chain) as server:
        teacher(server).teach(SPLIT, tmp_path / "a" / "k", "llm")
        with pytest.raises(TeacherError, match="the budget of 5 requests is spent"):
            teacher(server, budget={"requests": 5}).teach(SPLIT, tmp_path / "b" / "k", "llm")
        before = len(server.asked)
        teacher(server).teach(SPLIT, tmp_path / "b" / "k", "llm")
        assert len(server.asked) - before == 7
    assert contents(tmp_path / "a" / "k") == contents(tmp_path / "b" / "k")


def test_too_many_questions_without_an_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def script(asked: Asked) -> Answer:
        return chat(None, refusal=None, finish="content_filter") if asked.count % 4 == 0 else chain(asked)

    with answers(script) as server:
        message = r"journal.sqlite: \d of 12 questions have no answer \(\d refused; most often: taken away by a filter"
        with pytest.raises(TeacherError, match=message):
            teacher(server).teach(SPLIT, tmp_path / "k")
        with caplog.at_level(logging.WARNING, "recdistill"):
            facts = teacher(server, missing=0.5).teach(SPLIT, tmp_path / "k")
    assert facts["questions"]["refused"] == 12 - facts["lists"]
    assert "questions have no answer" in caplog.text


def test_where_files_and_teachers_come_from(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("query,item\na,i1\n", encoding="utf-8")
    llm = rd.teachers.LLM(task=Relevance(pairs=Path("pairs.csv")), backend=Endpoint())
    placed = llm.at(tmp_path)
    assert placed.task.pairs == pairs
    assert len(placed.inputs()[0]) == 64
    assert llm.inputs() == ("pairs.csv",)
    assert not llm.reads_log()
    mixed = MixedCandidates(
        n=9, parts=[RecommenderCandidates(path=Path("m"), n=3), TeacherCandidates(teacher="t", n=3)]
    )
    llm = rd.teachers.LLM(task=Listwise(candidates=mixed), journal=Path("j"), backend=Endpoint())
    assert llm.uses() == ("t",)
    assert llm.reads_log()
    placed = llm.at(tmp_path)
    assert (placed.journal, placed.task.candidates.parts[0].path) == (tmp_path / "j", tmp_path / "m")
    assert placed.inputs() == (str(tmp_path / "m"),)


def test_yaml_and_python_make_the_same(tmp_path: Path) -> None:
    written = {
        "task": {"type": "listwise", "contexts": 5, "candidates": {"type": "random", "n": 4}},
        "backend": {"type": "endpoint", "url": "http://a/v1"},
        "budget": {"tokens": 5},
    }
    made = rd.teachers.LLM(**written)
    python = rd.teachers.LLM(
        task=Listwise(contexts=5, candidates=RandomCandidates(n=4)), backend=Endpoint(url="http://a/v1"),
        budget={"tokens": 5},
    )  # fmt: skip
    assert made == python
    assert made.digest() == python.digest()
    assert rd.teachers.LLM(**made.model_dump(mode="json")) == made
    with pytest.raises(ConfigError, match="unknown parameter 'contekst' of listwise; did you mean 'contexts'"):
        rd.teachers.LLM(task={"type": "listwise", "contekst": 5})
    with pytest.raises(ConfigError, match="no backends component is called 'endpont'; did you mean 'endpoint'"):
        rd.teachers.LLM(backend="endpont")


def test_a_journal_of_ones_own(tmp_path: Path) -> None:
    with answers(chain) as server:
        teacher(server, journal=tmp_path / "shared.sqlite").teach(SPLIT, tmp_path / "k")
        teacher(server, journal=tmp_path / "shared.sqlite").teach(SPLIT, tmp_path / "elsewhere" / "k")
        assert len(server.asked) == 12
    assert not list(tmp_path.rglob("journal.sqlite"))
    assert contents(tmp_path / "k") == contents(tmp_path / "elsewhere" / "k")
