"""The item spaces of real models, side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recdistill.data.dataset import Split
from recdistill.models import MF, ItemKNN, RankingModel
from recdistill.models.base import Floats, VectorModel
from recdistill.recipes.comparisons import ALONE, DISTILLED
from recdistill.recipes.item_map import Space, item_map, space_of
from recdistill.reports.results import ItemMap
from recdistill.teachers.ensemble import Ensemble
from recdistill.testing import tiny_split

SPLIT = tiny_split(400, 80, cold=4)


def mf(seed: int, dim: int = 6) -> VectorModel:
    model = MF(dim=dim).build(SPLIT, seed=seed)
    assert isinstance(model, VectorModel)
    return model


class Turned(VectorModel):
    """A model whose items are turned, and moved as far as asked for."""

    def __init__(self, model: VectorModel, noise: float = 0.0) -> None:
        self.config, self.n_items, self.n_users = model.config, model.n_items, model.n_users
        rng = np.random.default_rng(1)
        own = model.item_vectors()
        turn = np.linalg.qr(rng.standard_normal((own.shape[1], own.shape[1])))[0]
        self.vectors: Floats = (own @ turn + noise * rng.standard_normal(own.shape) * own.std()).astype(np.float32)

    def item_vectors(self) -> Floats:
        return self.vectors

    def encode(self, contexts: object) -> Floats:
        raise NotImplementedError

    def tensors(self) -> dict[str, Floats]:
        return {}


def found(split: Split = SPLIT, **students: list[RankingModel]) -> ItemMap | None:
    teacher = mf(0)
    named: dict[str, list[RankingModel]] = {
        ALONE: students.get("alone", [mf(1), mf(2)]),
        DISTILLED: students.get("distilled", [Turned(teacher, 0.3), Turned(teacher)]),
    }
    return item_map(split, Space("mf", teacher.item_vectors()), named, 1)


def test_a_turned_space_is_the_same_and_another_is_not() -> None:
    drawn = found()
    assert drawn is not None
    alone, distilled = drawn.likeness
    assert alone.cka is not None
    assert distilled.cka is not None
    assert abs(alone.cka) < 0.3 < distilled.cka
    assert distilled.cka_range is not None
    assert distilled.cka_range[1] == pytest.approx(1)
    assert distilled.neighbours.value > alone.neighbours.value
    assert distilled.gained is not None
    assert distilled.gained.sign == 1
    assert distilled.gained.value == pytest.approx(distilled.neighbours.value - alone.neighbours.value)
    assert alone.gained is None
    for item in drawn.items:  # that of the seed that is drawn is turned, no more
        assert item.teacher == pytest.approx(item.student, abs=0.002)


def test_cold_items_are_left_out_and_groups_are_categories() -> None:
    drawn = found()
    assert drawn is not None
    assert drawn.measured == int((SPLIT.popularity > 0).sum())
    assert {item.group for item in drawn.items} <= {f"topic {at}" for at in range(5)}
    events = [item.events for item in drawn.items]
    assert events == sorted(events, reverse=True)
    assert min(events) > 0
    marked = [item for item in drawn.items if item.near_teacher]
    assert {item.group for item in marked} == {item.group for item in drawn.items}
    assert all(len(item.near_teacher) == len(item.near_student) == 3 for item in marked)
    assert all(item.title not in item.near_teacher for item in marked)
    assert all(item.near_teacher == item.near_student for item in marked)


def test_without_categories_items_are_told_apart_by_popularity() -> None:
    plain = replace(SPLIT.dataset, items=replace(SPLIT.dataset.items, categories=None))
    drawn = found(replace(SPLIT, dataset=plain))
    assert drawn is not None
    assert {item.group for item in drawn.items} == {"popular third", "middle third", "rare third"}
    assert drawn.items[0].group == "popular third"
    assert drawn.items[-1].group == "rare third"


def test_a_map_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recdistill.recipes.item_map._SHOWN", 20)
    monkeypatch.setattr("recdistill.recipes.item_map._MEASURED", 40)
    monkeypatch.setattr("recdistill.recipes.item_map._ASKED", 10)
    drawn = found()
    assert drawn is not None
    assert drawn.measured == 40
    assert 10 <= len(drawn.items) <= 20


def test_there_is_no_map_without_vectors_or_with_few_items() -> None:
    assert found(alone=[ItemKNN().build(SPLIT)]) is None
    small = tiny_split(n_items=15)
    teacher = MF(dim=2).build(small)
    assert isinstance(teacher, VectorModel)
    assert item_map(small, Space("t", teacher.item_vectors()), {ALONE: [teacher], DISTILLED: [teacher]}, 0) is None


def test_of_an_ensemble_the_heaviest_member_with_vectors_is_taken() -> None:
    members = {"knn": ItemKNN().build(SPLIT), "small": mf(0, 3), "large": mf(1, 7), "out": mf(2, 8)}
    taken = space_of("both", Ensemble(members, weights=[0.5, 0.2, 0.3, 0.0]))
    assert taken is not None
    assert (taken.name, taken.vectors.shape[1]) == ("large (of both)", 7)
    assert space_of("both", Ensemble({"knn": members["knn"]})) is None
    assert space_of("knn", members["knn"]) is None
