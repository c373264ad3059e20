"""The whole path in a few calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recdistill as rd
from recdistill.api import default_objectives
from recdistill.errors import ConfigError, KnowledgeError
from recdistill.knowledge import Knowledge
from recdistill.training import Training

from .synthetic import tiny_split

FEW = Training(epochs=3, batch=256)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)


def test_from_teachers_to_bundle(tmp_path: Path) -> None:
    data = tiny_split()
    knowledge = rd.teach(rd.models.SASRec(dim=16, blocks=1), data, training=FEW, k=10)
    knowledge = knowledge + rd.teach(rd.models.EASE(l2=10), data, k=5)
    assert set(knowledge.kinds()) == {"embeddings", "rankings", "weights"}
    assert knowledge.embeddings("sasrec", keyed_by="user")[0].dim == 16
    assert [term.name for term in default_objectives(knowledge)] == ["cross-entropy", "soft-labels"]
    student = rd.distill(rd.models.SASRec(dim=8, blocks=1), data, knowledge, training=FEW)
    result = rd.evaluate(student, data, beside=[rd.models.ItemKNN(), rd.models.ItemKNN(decay=1.0)], k=(5, 10))
    assert result.models == ("sasrec", "item-knn", "item-knn 2")
    lines = str(result).splitlines()
    assert lines[0].split() == ["model", "parameters", "ndcg@10", "recall@10", "hr@10"]
    assert [line.partition("  ")[0] for line in lines[1:]] == ["sasrec", "item-knn", "item-knn 2"]
    path = rd.bundle(student, data, tmp_path / "tiny.bundle")
    assert len(rd.Bundle.open(path).recommend(["i3"], n=4)) == 4


def test_what_is_taught_is_not_asked_again() -> None:
    data = tiny_split()
    first = rd.teach(rd.models.EASE(l2=10), data, k=5)
    times = {file: file.stat().st_mtime_ns for file in Path(".recdistill").rglob("*")}
    assert rd.teach(rd.models.EASE(l2=10), data, k=5).digest() == first.digest()
    assert times == {file: file.stat().st_mtime_ns for file in Path(".recdistill").rglob("*")}


def test_what_a_teacher_was_taught_is_part_of_its_place() -> None:
    data = tiny_split()
    known = rd.teach(rd.models.EASE(l2=10), data, k=5)
    for knowledge in (known, known + known, known):
        rd.teach(rd.models.EASE(l2=20), data, knowledge=knowledge, k=5)
    assert len(list(Path(".recdistill").iterdir())) == 3


def test_a_chain_hands_knowledge_on_and_does_nothing_twice(tmp_path: Path) -> None:
    data, models = tiny_split(), [rd.models.EASE(l2=10), rd.models.FISM(dim=8), rd.models.FISM(dim=4)]
    student = rd.distill_chain(models, data, training=FEW, directory=tmp_path)
    assert student.config == models[-1]
    links = [Knowledge.open(tmp_path / f"link-{number}").rankings()[0].manifest.teacher for number in (1, 2)]
    assert links == ["link-1", "link-2"]
    by_hand = rd.teach(models[0], data, directory=tmp_path / "a", name="link-1")
    terms = default_objectives(by_hand)
    by_hand = rd.teach(models[1], data, knowledge=by_hand, objectives=terms, training=FEW, name="link-2")
    again = rd.distill(models[2], data, by_hand, training=FEW)
    assert all(np.array_equal(a, b) for a, b in zip(student.tensors().values(), again.tensors().values(), strict=True))
    times = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("link-*/rankings/*")}
    rd.distill_chain(models, data, training=FEW, directory=tmp_path)
    assert times == {file: file.stat().st_mtime_ns for file in times}
    with pytest.raises(ConfigError, match="two models at least; put a teacher before the student"):
        rd.distill_chain(models[:1], data)


def test_models_learn_together() -> None:
    data, models = tiny_split(), [rd.models.FISM(dim=4), rd.models.FISM(dim=8), rd.models.FISM(dim=12)]
    fitted = rd.learn_together(models, data, training=FEW, weight=0.5)
    assert [model.config for model in fitted] == models
    with pytest.raises(ConfigError, match="two models at least learn together; use fit for one"):
        rd.learn_together(models[:1], data)


def test_a_dataset_is_split_by_leaving_the_last_out() -> None:
    dataset = tiny_split().dataset
    assert rd.split(dataset).method == "leave-last-out"
    whole = tiny_split()
    assert rd.split(whole) is whole


def test_a_fitted_teacher_needs_a_directory(tmp_path: Path) -> None:
    data = tiny_split()
    model = rd.fit(rd.models.Popularity(), data)
    with pytest.raises(ConfigError, match="needs a directory"):
        rd.teach(model, data)
    assert rd.teach(model, data, directory=tmp_path / "k", k=5).rankings()
    with pytest.raises(ConfigError, match="neither a teacher nor a model"):
        rd.teach(FEW, data)


def test_default_objectives_follow_the_knowledge() -> None:
    assert [o.name for o in default_objectives(Knowledge(()))] == ["cross-entropy"]


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rd.nothing  # noqa: B018
    assert "teach" in dir(rd)


def test_a_model_is_compressed_within_a_budget(tmp_path: Path) -> None:
    data = tiny_split(n_users=80)
    model = rd.fit(rd.models.SASRec(dim=16, blocks=1), data, training=rd.Training(epochs=2))
    found = rd.compress(
        model, data, steps=["int8", rd.compression.PruneFeedForward(epochs=0)], max_drop="90%", under="1MB",
        directory=tmp_path / "steps",
    )  # fmt: skip
    assert [row.name for row in found.outcome.rows] == ["uncompressed", "int8", "prune-feed-forward"]
    assert rd.Bundle.open(found.bundle(tmp_path / "small")).recommend(["i1"], 2)


def test_a_directory_belongs_to_who_taught_there(tmp_path: Path) -> None:
    data = tiny_split()
    first = rd.teach(rd.models.FISM(dim=4), data, k=5, training=FEW, name="a", directory=tmp_path)
    assert (
        rd.teach(rd.models.FISM(dim=4), data, k=5, training=FEW, name="a", directory=tmp_path).digest()
        == first.digest()
    )
    with pytest.raises(
        KnowledgeError, match="a model with other parameters has left its knowledge here; choose another"
    ):
        rd.teach(rd.models.EASE(), data, k=5, name="a", directory=tmp_path)
    with pytest.raises(KnowledgeError, match="the same model, taught otherwise, has left"):
        rd.teach(rd.models.FISM(dim=4), data, k=5, training=FEW.replace(lr=0.1), name="a", directory=tmp_path)


def test_two_teachers_of_one_name(tmp_path: Path) -> None:
    data = tiny_split()
    both = [rd.teach(rd.models.EASE(l2=l2), data, k=5, name="a", directory=tmp_path / str(l2)) for l2 in (1, 9)]
    with pytest.raises(ConfigError, match="2 teachers that left rankings are called 'a'; teach each under a name"):
        rd.distill(rd.models.FISM(dim=4), data, both[0] + both[1], training=FEW)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"student": "sasrec"}, "model: 'sasrec' is no model"),
        ({"student": rd.models.FISM}, "model: the class FISM is no model"),
        ({"objectives": "auto"}, "objectives: 'auto' is no list of objectives"),
        ({"objectives": rd.objectives.CrossEntropy()}, "is no list of objectives"),
        ({"objectives": ["cross-entropy"]}, "objectives: 'cross-entropy' is no objective"),
        ({"training": {"epochs": 1}}, "training: {'epochs': 1} is no Training"),
        ({"data": "ratings.csv"}, "data: 'ratings.csv' is no dataset"),
    ],
)
def test_what_recipes_say_in_a_word(wrong: dict[str, Any], says: str) -> None:
    knowledge = Knowledge()
    right: dict[str, Any] = {"student": rd.models.FISM(dim=4), "data": tiny_split(), "knowledge": knowledge}
    right["objectives"] = [rd.objectives.CrossEntropy()]
    with pytest.raises(ConfigError) as error:
        rd.distill(**(right | wrong))
    assert says in str(error.value)


def test_nobody_teaches() -> None:
    with pytest.raises(KnowledgeError, match="no teacher left rankings or item embeddings"):
        rd.distill(rd.models.FISM(dim=4), tiny_split(), Knowledge(), training=FEW)
