"""Which vectors of users and items are compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from recdistill.data.dataset import Split
from recdistill.errors import ConfigError, KnowledgeError
from recdistill.knowledge import EmbeddingsWriter, Knowledge
from recdistill.models import MF, SASRec
from recdistill.models.neural import NeuralModel
from recdistill.objectives.vectors import Pairs, VectorsConfig, VectorsObjective
from tests.synthetic import tiny_split

from .inside import features, taught
from .test_embedding_hint import embeddings

SPLIT = tiny_split(n_users=30, n_items=20)
TEACHER = SASRec(dim=12)


class Seen(VectorsObjective):
    """Keeps what it is given."""

    def compared(self, sides: Mapping[str, Pairs]) -> Tensor:
        self.sides = dict(sides)
        return torch.stack([pairs.student.sum() for pairs in sides.values()]).sum()


def seen(config: VectorsConfig, model: NeuralModel, known: Knowledge, split: Split = SPLIT) -> Seen:
    objective = Seen(config)
    objective.prepare(model, split, known, 0)
    objective.loss(features(model.eval(), split, objective))
    return objective


@pytest.mark.parametrize("config", [MF(dim=4), SASRec(dim=4)])
def test_the_same_users_and_items_on_both_sides(config: MF | SASRec, tmp_path: Path) -> None:
    known, model = taught(tmp_path, TEACHER, SPLIT), config.build(SPLIT)
    assert isinstance(model, NeuralModel)
    objective = seen(VectorsConfig(draw="catalogue", items=100, users=100), model, known)
    users, items = objective.sides["user"], objective.sides["item"]
    assert len(users.student) == np.count_nonzero(SPLIT.train.lengths)
    assert len(items.student) == SPLIT.n_items
    teacher = known.embeddings(keyed_by="user")[0].all(), known.weights()[0].tensors()["items"]
    scale = np.sqrt(np.mean([np.mean(part**2) for part in teacher]))
    assert objective.at_ends
    for pairs, own, theirs in zip(
        (users, items), (model.encode(SPLIT.valid), model.item_vectors()), teacher, strict=True
    ):
        for mine, wanted in zip(pairs.student, pairs.teacher, strict=True):
            row = np.flatnonzero(np.isclose(own, mine.detach().numpy(), atol=1e-5).all(axis=1))[0]
            np.testing.assert_allclose(theirs[row] / scale, wanted, rtol=1e-5)


def test_at_most_so_many_of_each_and_items_of_the_step_among_them(tmp_path: Path) -> None:
    known, model = taught(tmp_path, TEACHER, SPLIT), MF(dim=4).build(SPLIT)
    torch.manual_seed(0)
    sides = seen(VectorsConfig(items=6, users=5), model, known).sides
    assert len(sides["user"].student) == 5
    assert 2 <= len(sides["item"].student) <= 6
    assert len(torch.unique(sides["item"].teacher, dim=0)) == len(sides["item"].teacher)
    found = seen(VectorsConfig(items=2, of="items"), model, known)
    assert list(found.sides) == ["item"]
    assert not found.at_ends


def test_users_without_a_vector_and_steps_without_an_end(tmp_path: Path) -> None:
    train = SPLIT.train.keep(SPLIT.train.row_of_event() != 3)
    split = Split(SPLIT.dataset, train, SPLIT.valid, SPLIT.test, SPLIT.method)
    known, model = taught(tmp_path, TEACHER, split), SASRec(dim=4).build(split)
    assert isinstance(model, NeuralModel)
    objective = seen(VectorsConfig(of="users", users=100), model, known, split)
    assert len(objective.sides["user"].student) == 29
    inside = features(model, split)
    inside.batch.positions.zero_()
    loss = objective.loss(inside)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0


@pytest.mark.parametrize("draw", ["catalogue", "batch"])
def test_items_without_a_vector(tmp_path: Path, draw: Literal["catalogue", "batch"]) -> None:
    model, half = MF(dim=4).build(SPLIT), np.arange(0, SPLIT.n_items, 2)
    for rows in (half, half[:0]):
        writer = EmbeddingsWriter(
            tmp_path / str(len(rows)), teacher="encoder", teacher_fingerprint="-", rows=SPLIT.n_items, dim=9,
            dataset_fingerprint=SPLIT.dataset.items.fingerprint,
        )  # fmt: skip
        writer.add(rows, np.random.default_rng(0).standard_normal((len(rows), 9)).astype(np.float32))
        objective = Seen(VectorsConfig(of="items", items=SPLIT.n_items, draw=draw))
        objective.prepare(model, SPLIT, Knowledge((writer.seal(),)), 0)
        inside = features(model.eval(), SPLIT, objective)
        torch.manual_seed(0)
        loss = objective.loss(inside)
        if len(rows):
            pairs = objective.sides["item"]
            assert pairs.teacher.any(dim=1).all()
            own = model.table().detach()[half]
            assert all(any(torch.equal(one, mine) for mine in own) for one in pairs.student.detach())
        else:
            loss.backward()  # type: ignore[no-untyped-call]
            assert loss.item() == 0


def test_whose_vectors(tmp_path: Path) -> None:
    model = MF(dim=4).build(SPLIT)
    encoder = embeddings(tmp_path, "encoder", SPLIT.dataset.items.fingerprint, SPLIT.n_items)
    both = encoder + taught(tmp_path, TEACHER, SPLIT) + taught(tmp_path, TEACHER, SPLIT, "other")
    assert seen(VectorsConfig(of="items"), model, both).sides["item"].teacher.shape[1] == 9  # embeddings come first
    assert seen(VectorsConfig(teacher="big"), model, both).sides["item"].teacher.shape[1] == 12
    for of, known, error, message in (
        ("users", both, ConfigError, r"several teachers left embeddings \(big, other\); name one"),
        ("both", encoder, KnowledgeError, "no teacher left embeddings of users; there are: embeddings of items by"),
        ("items", Knowledge(), KnowledgeError, "no teacher left embeddings of items; there are: no stores"),
        ("users", taught(tmp_path / "x", TEACHER, tiny_split()), KnowledgeError, "about other data"),
    ):
        with pytest.raises(error, match=message):
            Seen(VectorsConfig(of=of)).prepare(model, SPLIT, known, 0)
