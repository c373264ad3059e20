"""Labelling in rounds: what is chosen, what it costs, when it ends, and that an interruption changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recdistill as rd
from recdistill.errors import ConfigError, TeacherError
from recdistill.files import write_json
from recdistill.knowledge import Knowledge, RankingsStore
from recdistill.models import ItemKNN, SASRec
from recdistill.teachers.llm.backends import Endpoint
from recdistill.teachers.llm.candidates import RecommenderCandidates
from recdistill.teachers.llm.rounds import Learned, label_in_rounds
from recdistill.teachers.llm.tasks import Listwise, Pairwise
from recdistill.teachers.llm.teacher import LLM
from recdistill.testing import tiny_split
from recdistill.training import Training

from ...llm_server import Answer, Asked, LLMServer, answers, chat, letters
from .jobs import offered, shown_history

SPLIT = tiny_split()


def chain(asked: Asked) -> Answer:
    """Likes the item after the newest."""
    newest, candidates = shown_history(asked.said)[-1], offered(asked.said)
    return letters({letter: -0.1 - 0.3 * min(abs(item - newest - 1), 12) for letter, item in candidates.items()})


class Pupils:
    """Students with other initial weights in every round, and scores that were agreed on."""

    metric = "ndcg@10"

    def __init__(self, *scores: float) -> None:
        self.scores, self.said = scores, list[int | None]()

    def __call__(self, said: RankingsStore | None, directory: Path, label: str) -> Learned:
        number = 0 if said is None else int(directory.parent.name)
        self.said.append(None if said is None else said.manifest.extra["answers"])
        return Learned(SASRec(dim=8, blocks=1).build(SPLIT, seed=number), self.scores[number])


def llm(server: LLMServer, select: dict[str, Any], **changes: Any) -> LLM:
    settings: dict[str, Any] = {"task": Listwise(contexts=30, candidates=RecommenderCandidates(n=6))}
    settings |= {"backend": Endpoint(url=server.url), "select": {"rounds": 3, "per_round": 5} | select}
    return LLM(**(settings | changes))


def label(teacher: LLM, path: Path, pupils: Pupils) -> dict[str, Any]:
    return label_in_rounds(teacher, SPLIT, path, "llm", Knowledge(), pupils)


def chosen(path: Path) -> list[list[int]]:
    return [json.loads(file.read_text())["positions"] for file in sorted(path.glob("rounds/*/choice.json"))]


def test_three_rounds_about_different_contexts(tmp_path: Path) -> None:
    pupils = Pupils(0.1, 0.2, 0.25, 0.24)
    with answers(chain) as server:
        facts = label(llm(server, {}), tmp_path / "k", pupils)
        assert len(server.asked) == 15
        assert label(llm(server, {}), tmp_path / "k", pupils) == facts
        assert len(server.asked) == 15
    assert pupils.said == [None, 5, 10, 15]  # each learns from all that was said
    rounds = chosen(tmp_path / "k")
    assert [len(round_) for round_ in rounds] == [5, 5, 5]
    assert len({position for part in rounds for position in part}) == 15
    (store,) = Knowledge.open(tmp_path / "k").rankings("llm")
    assert np.flatnonzero(store.written).tolist() == sorted(position for part in rounds for position in part)
    assert store.manifest.extra["answers"] == facts["lists"] == 15
    assert facts["ended"] == "3 rounds were wanted"
    assert [round(r["gain"], 6) for r in facts["rounds"]] == [0.1, 0.05, -0.01]
    assert [(r["questions"], r["tokens"], r["candidates"]) for r in facts["rounds"]] == [(5, 60, "recommender")] * 3
    assert (facts["questions"], facts["tokens_in"], facts["alone"]) == ({"answered": 15}, 150, 0.1)


def test_rounds_end_when_one_brings_less_than_it_costs(tmp_path: Path) -> None:
    with answers(chain) as server:
        facts = label(llm(server, {"stop_below": 0.06}), tmp_path / "a", Pupils(0.1, 0.2, 0.25, 0.4))
        assert facts["ended"] == "round 2 brought +0.0500 ndcg@10, less than the 0.06 that a round must bring"
        per = {"stop_below": 9.0, "per": "thousand-questions", "rounds": 2}
        facts = label(llm(server, per), tmp_path / "b", Pupils(0.1, 0.2, 0.25))
        assert facts["ended"] == "2 rounds were wanted"  # 0.05 for 5 questions are 10 for a thousand
        paid = {"stop_below": 20.0, "per": "money"}
        prices = {"input": 100.0, "currency": "EUR"}  # 50 tokens in a round: 0.005 EUR, which must bring 0.1
        facts = label(llm(server, paid, prices=prices), tmp_path / "c", Pupils(0.1, 0.25, 0.3))
    assert facts["ended"] == "round 2 brought +0.0500 ndcg@10, less than the 20 that EUR must bring"
    assert facts["rounds"][1]["money"] == pytest.approx(0.005)


def test_a_spent_budget_ends_the_rounds_and_what_was_answered_counts(tmp_path: Path) -> None:
    pupils = Pupils(0.1, 0.2, 0.25, 0.3)
    with answers(chain) as server:
        facts = label(llm(server, {}, budget={"requests": 8}), tmp_path / "k", pupils)
        assert len(server.asked) == 8
        assert pupils.said == [None, 5, 8]
        assert facts["ended"].startswith("the budget of 8 requests is spent")
        assert facts["questions"] == {"answered": 8, "open": 2}
        assert [r["lists"] for r in facts["rounds"]] == [5, 3]
        with pytest.raises(TeacherError, match="the budget of 0 requests is spent"):
            label(llm(server, {}, budget={"requests": 0}, journal=tmp_path / "other"), tmp_path / "n", pupils)


def test_a_round_without_a_list_teaches_nothing_and_is_told_as_such(tmp_path: Path) -> None:
    refused: list[Asked] = []

    def refuses(asked: Asked) -> Answer:
        if len(refused) == 5 or not offered(asked.said):
            return chain(asked) if offered(asked.said) else chat("A")
        refused.append(asked)
        return chat(None, refusal=None, finish="content_filter")

    with answers(refuses) as server:
        one_by_one = Endpoint(url=server.url, pace={"start": 1, "most": 1})
        teacher = llm(server, {"rounds": 2, "stop_below": 0.0}, missing=1.0, backend=one_by_one)
        pupils = Pupils(0.1, 0.2, 0.3)
        facts = label(teacher, tmp_path / "k", pupils)
    assert (facts["rounds"][0]["lists"], facts["rounds"][0]["score"]) == (0, None)
    assert facts["rounds"][1]["lists"] == 5
    assert facts["rounds"][1]["gain"] == pytest.approx(0.2)  # over the student alone
    assert pupils.said == [None, 5]


def test_all_contexts_may_be_asked_about_before_the_last_round(tmp_path: Path) -> None:
    few = Listwise(contexts=7, candidates=RecommenderCandidates(n=6))
    with answers(chain) as server:
        facts = label(llm(server, {}, task=few), tmp_path / "k", Pupils(0.1, 0.2, 0.3))
    assert facts["ended"] == "all contexts were asked about"
    assert [r["contexts"] for r in facts["rounds"]] == [5, 2]


def test_on_policy_rounds_offer_what_the_student_ranks_first(tmp_path: Path) -> None:
    shown: list[dict[str, int]] = []

    def script(asked: Asked) -> Answer:
        shown.append(offered(asked.said))
        return chain(asked)

    with answers(script) as server:
        teacher = llm(
            server, {"on_policy": True, "rounds": 2}, backend=Endpoint(url=server.url, pace={"start": 1, "most": 1})
        )
        facts = label(teacher, tmp_path / "k", Pupils(0.1, 0.2, 0.3))
    assert [r["candidates"] for r in facts["rounds"]] == ["recommender", "student"]
    student = SASRec(dim=8, blocks=1).build(SPLIT, seed=1)
    positions = np.array(chosen(tmp_path / "k")[1])
    expected = RecommenderCandidates(n=6)
    from recdistill.teachers.llm.asked import draw
    from recdistill.teachers.llm.candidates.recommender import Ranked

    own = draw(Ranked(student, 6), SPLIT.train, positions, 0, expected.n)
    assert {frozenset(letters_.values()) for letters_ in shown[5:]} == {frozenset(row.tolist()) for row in own}


def test_a_round_that_was_chosen_stays_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    class Dies(Pupils):
        def __call__(self, said: RankingsStore | None, directory: Path, label: str) -> Learned:
            if said is not None and directory.parent.name == "02":
                raise KeyboardInterrupt
            return super().__call__(said, directory, label)

    with answers(chain) as server:
        with pytest.raises(KeyboardInterrupt):
            label(llm(server, {}), tmp_path / "a" / "k", Dies(0.1, 0.2, 0.3, 0.4))
        before = chosen(tmp_path / "a" / "k")
        assert (len(before), len(server.asked)) == (2, 10)
        pupils = Pupils(0.1, 0.2, 0.3, 0.4)
        facts = label(llm(server, {}), tmp_path / "a" / "k", pupils)
        assert pupils.said == [10, 15]  # the students before are found
        assert len(server.asked) == 15
        assert {asked.twin for asked in server.asked} == {0}
        whole = label(llm(server, {}), tmp_path / "b" / "k", Pupils(0.1, 0.2, 0.3, 0.4))
    assert chosen(tmp_path / "a" / "k")[:2] == before
    assert whole["rounds"] == facts["rounds"]
    one, other = (Knowledge.open(tmp_path / name / "k").rankings("llm")[0] for name in "ab")
    assert one.manifest == other.manifest  # with the checksums of the shards
    assert not list((tmp_path / "a").rglob("known"))


def test_a_choice_that_was_written_down_is_kept(tmp_path: Path) -> None:
    with answers(chain) as server:
        pool = Listwise(contexts=30).positions(SPLIT)
        write_json(tmp_path / "k" / "rounds" / "01" / "choice.json", {"positions": pool[3:6].tolist()})
        label(llm(server, {"rounds": 1}), tmp_path / "k", Pupils(0.1, 0.2))
        assert chosen(tmp_path / "k") == [pool[3:6].tolist()]
        write_json(tmp_path / "broken" / "rounds" / "01" / "choice.json", [1, 2])
        with pytest.raises(
            TeacherError, match=r"choice\.json: is no choice of contexts; remove it, and they are chosen"
        ):
            label(llm(server, {}), tmp_path / "broken", Pupils(0.1, 0.2))


def test_selectors_may_compare_with_another_teacher(tmp_path: Path) -> None:
    from recdistill.teachers import RecommenderTeacher

    RecommenderTeacher(ItemKNN().build(SPLIT), name="knn").label(SPLIT, tmp_path / "knn", k=20, contexts="all")
    known = Knowledge.open(tmp_path / "knn")
    with answers(chain) as server:
        teacher = llm(server, {"by": "alkdrec", "against": "knn", "rounds": 1})
        assert teacher.uses() == ("knn",)
        facts = label_in_rounds(teacher, SPLIT, tmp_path / "k", "llm", known, Pupils(0.1, 0.2))
        assert facts["rounds"][0]["by"] == "alkdrec"
        two = llm(server, {"by": "disagreement", "rounds": 2})
        assert len(label(two, tmp_path / "two", Pupils(0.1, 0.2, 0.3))["rounds"]) == 2


def test_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    once = Training(epochs=1)
    with answers(chain) as server:
        teacher = llm(server, {"by": "difficulty", "rounds": 2})
        known = rd.teach(teacher, SPLIT, student=rd.models.SASRec(dim=8, blocks=1), training=once)
        assert known.kinds() == ("rankings",)
        assert len(server.asked) == 10
        again = rd.teach(teacher, SPLIT, student=rd.models.SASRec(dim=8, blocks=1), training=once)
        assert (again.digest(), len(server.asked)) == (known.digest(), 10)
        with pytest.raises(ConfigError, match="llm chooses no contexts; leave it out, or give the LLM select="):
            rd.teach(teacher.replace(select=None), SPLIT, student=rd.models.SASRec(dim=8))
    facts = json.loads(next((tmp_path / ".recdistill").glob("llm-*/facts.json")).read_text())
    assert [set(r) >= {"score", "gain"} for r in facts["rounds"]] == [True, True]


def test_what_does_not_fit_is_said_at_once(tmp_path: Path) -> None:
    with answers(chain) as server:
        with pytest.raises(ConfigError, match="contexts of pairwise are not chosen in rounds; use the task listwise"):
            llm(server, {}, task=Pairwise())
        with pytest.raises(ConfigError, match="nothing has a price; say what tokens cost under prices"):
            llm(server, {"stop_below": 1.0, "per": "money"})
        with pytest.raises(ConfigError, match="select: chooses no contexts; say how"):
            label(LLM(), tmp_path / "k", Pupils())
        with pytest.raises(TeacherError, match=r"there is no student to choose; give recdistill\.teach a student"):
            llm(server, {}).teach(SPLIT, tmp_path / "k")
        assert server.asked == []


def test_at_most_as_many_contexts_as_the_rounds_may_choose() -> None:
    teacher = LLM(task=Listwise(contexts=None), select={"rounds": 3, "per_round": 40})
    assert (teacher.at_most().task.contexts, teacher.at_most().select) == (120, None)  # type: ignore[attr-defined]
    assert LLM(select={"rounds": 30}).at_most().task.contexts == 1000  # type: ignore[attr-defined]
    assert LLM().at_most() == LLM()
