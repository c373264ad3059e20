"""Starting from a part of the teacher's network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import recdistill as rd
from recdistill.data.dataset import Split
from recdistill.errors import ConfigError, KnowledgeError
from recdistill.knowledge import Knowledge, WeightsStore
from recdistill.models import HSTU, MF, GRU4Rec, SASRec, load_model
from recdistill.models.narrow import narrowed
from recdistill.models.neural import NeuralModel
from recdistill.objectives import StartFrom, StartFromLayers
from recdistill.objectives.base import ObjectiveConfig
from recdistill.teachers.own_vectors import leave_vectors
from recdistill.testing import tiny_split
from recdistill.training import Training

LARGE = SASRec(dim=24, blocks=3, heads=4, max_length=12, dropout=0.1)


@pytest.fixture(scope="module")
def data() -> Split:
    return tiny_split(n_users=150, n_items=40, cold=0)


@pytest.fixture(scope="module")
def taught(data: Split, tmp_path_factory: pytest.TempPathFactory) -> tuple[NeuralModel, Knowledge]:
    place = tmp_path_factory.mktemp("large")
    training = Training(epochs=12, batch=128, lr=5e-3, device="cpu")
    knowledge = rd.teach(LARGE, data, training=training, name="large", k=10, directory=place)
    model = load_model(place / "model")
    assert isinstance(model, NeuralModel)
    return model, knowledge


def started(config: SASRec, data: Split, knowledge: Knowledge, objective: ObjectiveConfig) -> NeuralModel:
    model: NeuralModel = config.build(data, knowledge)
    objective.build().prepare(model, data, knowledge, 0)
    return model


def overlap(a: NeuralModel, b: NeuralModel, data: Split) -> float:
    tops = [np.argsort(-model.score(data.test), axis=1)[:, :10] for model in (a, b)]
    return float(np.mean([len(set(x) & set(y)) / 10 for x, y in zip(*tops, strict=True)]))


def test_all_layers_are_the_teacher(data: Split, taught: tuple[NeuralModel, Knowledge]) -> None:
    teacher, knowledge = taught
    student = started(LARGE, data, knowledge, StartFromLayers())
    np.testing.assert_allclose(student.score(data.test), teacher.score(data.test), rtol=1e-5, atol=1e-6)
    assert all(parameter.requires_grad for parameter in student.parameters())


@pytest.mark.parametrize(
    ("which", "blocks", "wanted"),
    [("first", 2, [0, 1]), ("last", 2, [1, 2]), ("spread", 2, [0, 2]), ("spread", 1, [0])],
)
def test_chosen_blocks(
    data: Split, taught: tuple[NeuralModel, Knowledge], which: str, blocks: int, wanted: list[int]
) -> None:
    teacher, knowledge = taught
    student = started(LARGE.replace(blocks=blocks), data, knowledge, StartFromLayers(blocks=which))
    own, theirs = student.tensors(), teacher.tensors()
    for number, block in enumerate(wanted):
        np.testing.assert_array_equal(own[f"blocks.{number}.qkv.weight"], theirs[f"blocks.{block}.qkv.weight"])
    np.testing.assert_array_equal(own["norm.bias"], theirs["norm.bias"])
    np.testing.assert_array_equal(own["items"], theirs["items"])


def test_the_same_width_in_other_words_is_the_same_function(data: Split, taught: tuple[NeuralModel, Knowledge]) -> None:
    teacher, _ = taught
    made = narrowed(teacher.tensors(), LARGE, LARGE, range(3), np.eye(24))
    student = LARGE.build(data)
    student.load_tensors({name: value.astype(np.float32) for name, value in made.items()})
    np.testing.assert_allclose(student.score(data.test), teacher.score(data.test), rtol=1e-3, atol=1e-3)
    assert not np.allclose(made["blocks.0.qkv.weight"], teacher.tensors()["blocks.0.qkv.weight"], atol=1e-2)


@pytest.mark.parametrize("small", [LARGE.replace(dim=12, heads=2), LARGE.replace(dim=16, heads=2, blocks=2)])
def test_a_narrow_student_begins_near_its_teacher(
    data: Split, taught: tuple[NeuralModel, Knowledge], small: SASRec
) -> None:
    teacher, knowledge = taught
    by_layers, by_items, by_nothing = (
        overlap(started(small, data, knowledge, objective), teacher, data)
        for objective in (StartFromLayers(), StartFrom(), StartFromLayers(weight=0))
    )
    assert by_layers > by_items + 0.05
    assert by_layers > by_nothing + 0.25


def test_it_learns_on_from_there(data: Split, taught: tuple[NeuralModel, Knowledge]) -> None:
    _, knowledge = taught
    small, training = LARGE.replace(dim=12, heads=2), Training(epochs=2, batch=128, device="cpu", warmup=0, lr=1e-3)
    objectives = [rd.objectives.CrossEntropy(), StartFromLayers()]
    warm = rd.training.fit(small, data, objectives, knowledge=knowledge, training=training).history
    cold = rd.training.fit(small, data, objectives[:1], training=training).history
    assert warm[0]["loss"]["cross-entropy"] < cold[0]["loss"]["cross-entropy"] - 0.2


def test_shorter_histories_and_longer_feed_forward_layers(data: Split, taught: tuple[NeuralModel, Knowledge]) -> None:
    teacher, knowledge = taught
    short = started(LARGE.replace(max_length=5), data, knowledge, StartFromLayers())
    np.testing.assert_array_equal(short.tensors()["place"], teacher.tensors()["place"][:5])
    wide = started(LARGE.replace(dim=20, feed_forward=6), data, knowledge, StartFromLayers())
    assert overlap(wide, teacher, data) > 0.5


def test_text_inside_the_teacher_is_in_the_vectors(data: Split, tmp_path: Path) -> None:
    from recdistill.knowledge import EmbeddingsWriter

    writer = EmbeddingsWriter(tmp_path / "text", teacher="text", teacher_fingerprint="-", rows=data.n_items, dim=6,
                              dataset_fingerprint=data.dataset.items.fingerprint)  # fmt: skip
    writer.add(np.arange(data.n_items), np.random.default_rng(0).standard_normal((data.n_items, 6)))
    text = Knowledge((writer.seal(),))
    config = SASRec(dim=8, blocks=1, heads=2, text="text")
    teacher = config.build(data, text, seed=5)
    leave_vectors(teacher, data, tmp_path / "large", "large")
    known = text + Knowledge.open(tmp_path / "large")
    for own in (config, config.replace(text=None)):
        student = started(own, data, known, StartFromLayers(teacher="large"))
        np.testing.assert_allclose(student.score(data.test), teacher.score(data.test), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("student", "message"),
    [
        (GRU4Rec(dim=8), "'large' is a sasrec, the student a gru4rec: no layers to start from; use start-from"),
        (MF(dim=8), "the student a mf"),
        (LARGE.replace(dim=32), "the student's dim=32 is more than the 24 of 'large'"),
        (LARGE.replace(blocks=4), "the student's blocks=4 is more than the 3"),
        (LARGE.replace(dim=12, heads=6), "the student's heads=6 is more than the 4"),
        (LARGE.replace(heads=2), "'large' has 4 heads of this width; use as many"),
    ],
)
def test_misuse_is_one_line(data: Split, taught: tuple[NeuralModel, Knowledge], student: SASRec, message: str) -> None:
    with pytest.raises((ConfigError, KnowledgeError), match=message):
        started(student, data, taught[1], StartFromLayers())


def test_other_networks_are_copied_but_not_narrowed(data: Split, tmp_path: Path) -> None:
    config = HSTU(dim=8, blocks=2, max_length=10)
    teacher = config.build(data, seed=3)
    leave_vectors(teacher, data, tmp_path, "large")
    known = Knowledge.open(tmp_path)
    student = config.build(data)
    StartFromLayers().build().prepare(student, data, known, 0)
    np.testing.assert_allclose(student.score(data.test), teacher.score(data.test), rtol=1e-5, atol=1e-6)
    with pytest.raises(ConfigError, match="a hstu cannot be made narrower; use dim=8"):
        StartFromLayers().build().prepare(config.replace(dim=4).build(data), data, known, 0)
    bare = WeightsStore.write(tmp_path / "bare", "bare", "-", data.fingerprint, {"items": teacher.item_vectors()})
    with pytest.raises(KnowledgeError, match="'bare' is a model of unknown kind"):
        StartFromLayers().build().prepare(student, data, Knowledge((bare,)), 0)
    assert isinstance(student.items, torch.nn.Parameter)
