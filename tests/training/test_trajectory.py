"""Snapshots of a training, and a curriculum of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recdistill as rd
from recdistill.data.dataset import Split
from recdistill.errors import ConfigError, KnowledgeError, TrainingError
from recdistill.knowledge import Knowledge
from recdistill.models import MF, load_model
from recdistill.objectives import CrossEntropy, SoftLabels
from recdistill.teachers.recommender import scored
from recdistill.testing import tiny_split
from recdistill.training import Training, Trajectory, fit
from recdistill.training.live.trajectory import discrepancy
from recdistill.training.snapshots import Snapshots

from .made_up import FAST, STUDENT, split
from .test_live import equal, train
from .test_loop import same

TERMS = (CrossEntropy(), SoftLabels(teacher="path", temperature=1.0))
LIVE = (Trajectory(id="path", of="big", every=1, k=5),)


@pytest.fixture(scope="module")
def data() -> Split:
    return split()


@pytest.fixture(scope="module")
def taught(data: Split, tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    training = Training(epochs=9, **FAST)
    place = tmp_path_factory.mktemp("taught")
    return rd.teach(STUDENT.replace(dim=24), data, training=training, name="big", k=8, snapshots=3, directory=place)


class TestSnapshots:
    @pytest.mark.parametrize(("epochs", "best"), [(3, 3), (7, 6), (40, 31), (200, 190)])
    def test_few_are_kept_and_spread_over_the_way(self, epochs: int, best: int, tmp_path: Path) -> None:
        model, kept = MF(dim=2).build(tiny_split()), Snapshots(tmp_path, 3)
        for epoch in range(1, epochs + 1):
            kept.offer(epoch, model)
            assert len(list(tmp_path.iterdir())) <= 12
        chosen = [int(path.name.partition("-")[2]) for path in kept.before(best)]
        assert chosen == sorted(set(chosen))
        assert len(chosen) == min(3, best - 1)
        assert chosen[-1] < best
        assert epochs < 10 or (chosen[0] < 0.2 * best and chosen[-1] > 0.75 * best)

    def test_a_training_that_is_best_at_once_has_none(self, tmp_path: Path) -> None:
        with pytest.raises(TrainingError, match="no snapshots before the best epoch, 1; lower lr"):
            Snapshots(tmp_path, 2).before(1)

    def test_a_resumed_training_keeps_the_same(self, data: Split, tmp_path: Path) -> None:
        def run(epochs: int, place: str) -> Any:
            return fit(STUDENT, data, training=Training(epochs=epochs, **FAST), directory=tmp_path / place, snapshots=2)

        whole, _, parts = run(12, "whole"), run(5, "parts"), run(12, "parts")
        assert [path.name for path in whole.snapshots] == [path.name for path in parts.snapshots] != []
        for a, b in zip(whole.snapshots, parts.snapshots, strict=True):
            assert equal(load_model(a).tensors(), load_model(b).tensors())

    def test_they_need_a_place(self, data: Split) -> None:
        with pytest.raises(ConfigError, match="snapshots need a directory"):
            fit(STUDENT, data, snapshots=1)


def test_snapshots_label_as_teachers_of_their_own(data: Split, taught: Knowledge) -> None:
    names = [store.manifest.teacher for store in taught.rankings()]
    assert names == ["big@1", "big@2", "big@3", "big"]  # the last is the one that plain calls take
    first, last = (taught.rankings(name)[0].read(np.arange(data.train.n_events)) for name in ("big@1", "big"))
    known = last.confidence > 0

    def likelihood(rankings: Any) -> float:
        hit = rankings.items == data.train.items[:, None]
        return float(np.mean(np.where(hit, np.exp(rankings.logp), 0).sum(1)[known]))

    assert likelihood(first) < likelihood(last)  # it knew less then


def test_discrepancy_is_that_of_the_formula() -> None:
    own, wanted = torch.tensor([[3, 1, 2], [0, 1, 2], [5, 6, 7]]), torch.tensor([[1, 3], [0, 1], [2, -1]])
    gain = [2 ** math.exp(-r / 10) - 1 for r in range(2)]
    perfect = gain[0] + gain[1] / math.log2(3)
    swapped = gain[0] / math.log2(3) + gain[1]
    np.testing.assert_allclose(discrepancy(own, wanted), [1 - swapped / perfect, 0, 1], atol=1e-6)
    assert discrepancy(own[:1], torch.full((1, 2), -1)).tolist() == [1.0]


def test_every_context_is_taught_by_its_snapshot(data: Split, taught: Knowledge) -> None:
    fitted = train(data, *TERMS, live=LIVE, knowledge=taught, epochs=8)
    levels = [record["beside"]["path"]["level"] for record in fitted.history]
    assert levels[:2] == [0, 0]  # the second epoch begins with the first look, which only measures
    assert levels == sorted(levels)
    assert 0 < levels[-1] <= 1
    eager = train(data, *TERMS, live=[LIVE[0].replace(alpha=1e-3)], knowledge=taught, epochs=8)
    assert eager.history[-1]["beside"]["path"]["level"] == 1
    never = train(data, *TERMS, live=[LIVE[0].replace(alpha=1e6)], knowledge=taught, epochs=3)
    plain = train(data, CrossEntropy(), SoftLabels(teacher="big@1", temperature=1.0), knowledge=taught, epochs=3)
    assert never.history[-1]["beside"]["path"]["level"] == 0
    assert equal(never.model.tensors(), plain.model.tensors())


def test_the_next_snapshot_comes_where_the_student_has_come_nearer(data: Split, taught: Knowledge) -> None:
    """The rule by hand, with a student that does not change and one that is the teacher itself."""
    config = LIVE[0]
    teacher = config.build()
    promise = teacher.promise(data, taught, {})
    model = STUDENT.build(data)
    teacher.student, teacher.events = [model], data.train
    teacher.contexts = data.train.events_before(np.arange(data.train.n_positions)) > 0
    teacher.register_buffer("level", torch.zeros(data.train.n_positions, dtype=torch.int8))
    teacher.register_buffer("before", torch.full((data.train.n_positions,), torch.nan))
    teacher.before_epoch(2)
    first = teacher.before.numpy().copy()
    assert np.isfinite(first[teacher.contexts]).all()
    positions, scores = next(scored(model, data.train, teacher.contexts, "student"))
    listed = torch.from_numpy(taught.rankings("big@2")[0].read(positions).items[:, :5].astype(np.int64))
    np.testing.assert_allclose(first[positions], discrepancy(scores.topk(5).indices, listed), atol=1e-6)
    teacher.before_epoch(3)
    assert teacher.level.sum() == 0  # 1 is not more than 1.05
    assert promise.read(np.arange(3)).items.tolist() == taught.rankings("big@1")[0].read(np.arange(3)).items.tolist()


def test_resumes_exactly(data: Split, taught: Knowledge, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"live": LIVE, "knowledge": taught}
    whole = train(data, *TERMS, **settings, epochs=6)
    train(data, *TERMS, **settings, epochs=3, directory=tmp_path)
    assert same(whole, train(data, *TERMS, **settings, epochs=6, directory=tmp_path))


def test_a_student_of_users_learns_from_ends(data: Split, taught: Knowledge) -> None:
    fitted = train(data, *TERMS, live=[LIVE[0].replace(alpha=0.5)], knowledge=taught, model=MF(dim=8), epochs=4)
    assert fitted.history[-1]["beside"]["path"]["level"] > 0


def test_misuse_is_one_line(data: Split, taught: Knowledge, tmp_path: Path) -> None:
    plain = Knowledge(tuple(store for store in taught.stores if "@" not in store.manifest.teacher))
    with pytest.raises(ConfigError, match="'big' left no snapshots of its training; teach it with snapshots=3"):
        train(data, *TERMS, live=LIVE, knowledge=plain)
    with pytest.raises(KnowledgeError, match="no rankings by a teacher called 'bog'; did you mean 'big'"):
        train(data, *TERMS, live=[LIVE[0].replace(of="bog")], knowledge=taught)
    other = tiny_split(n_users=50, n_items=30)
    with pytest.raises(KnowledgeError, match="the rankings by 'big' are about other data"):
        train(other, *TERMS, live=LIVE, knowledge=taught)
