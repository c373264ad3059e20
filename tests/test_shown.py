"""What a notebook or a debugger shows of large objects: one short line with a name and counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import recdistill as rd
from recdistill.data import Split
from recdistill.knowledge import Knowledge, Preferences, Scores
from recdistill.objectives import CrossEntropy
from recdistill.serving import Bundle
from recdistill.training import fit
from tests.synthetic import tiny_split

MODEL = rd.models.SASRec(dim=8, blocks=1)


@pytest.fixture(scope="module")
def split() -> Split:
    return tiny_split()


def test_data(split: Split) -> None:
    data, events = split.dataset, f"{split.dataset.log.n_events:,} events"
    assert repr(data) == f"<Dataset {data.name!r}: {data.n_users:,} users, {data.n_items:,} items, {events}>"
    assert repr(data.log) == f"<Sequences: {data.n_users:,} rows, {events}>"
    assert repr(data.items).startswith(f"<Catalogue: {data.n_items:,} items")
    assert repr(split.valid) == f"<Contexts: {len(split.valid):,}, with {split.valid.targets.n_events:,} targets>"
    assert f"{split.method}: {split.n_users:,} users" in repr(split)
    assert f"{split.train.n_events:,} events to learn from" in repr(split)
    assert len(str(split)) < 300


def test_knowledge(split: Split, tmp_path: Path) -> None:
    assert repr(Knowledge()) == "<Knowledge: none>"
    knowledge = rd.teach(rd.models.Popularity(), split, name="pop", directory=tmp_path)
    assert "rankings by 'pop'" in repr(knowledge)
    store = knowledge.rankings("pop")[0]
    assert repr(store) == f"<RankingsStore: rankings by 'pop', {len(store):,} positions>"
    assert repr(store.read(np.arange(3))) == f"<Rankings: 3, of {store.manifest.width} items each>"
    assert repr(Preferences.none(2, 5)) == "<Preferences: 2, of 5 pairs each>"
    none = np.zeros((4, 3), dtype=np.float32)
    assert repr(Scores(none, none[:, 0], none.astype(np.int32))) == "<Scores: 4, of 3 classes each>"


def test_models_and_what_is_found(split: Split, tmp_path: Path) -> None:
    fitted = fit(MODEL, split, [CrossEntropy()], training=rd.Training(epochs=2))
    shown = f"<SASRecModel: {split.n_items:,} items, {fitted.model.n_parameters:,} parameters>"
    assert repr(fitted.model) == shown
    assert repr(fitted) == f"<Fitted {shown}: best of 2 epochs is {fitted.best_epoch}>"
    closed = rd.fit(rd.models.ItemKNN(), split)
    assert repr(closed).startswith("<ItemKNNModel: ")
    found = rd.evaluate(closed, split, beside=[rd.models.Popularity()])
    assert repr(found) == f"<Evaluation of item-knn, popularity: {len(split.test):,} test contexts>"
    assert repr(found.slices["tail"]).startswith("<Slice: targets among the other items")
    assert repr(found.hits("item-knn", 0)).endswith(f" in {len(split.test):,} lists>")
    place = rd.bundle(closed, split, tmp_path / "bundle")
    assert repr(Bundle.open(place)) == f"<Bundle '{place}': item-knn, {split.n_items:,} items>"
