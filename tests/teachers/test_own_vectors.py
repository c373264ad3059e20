"""Vectors and weights that a fitted model leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recdistill.data.dataset import Split
from recdistill.errors import KnowledgeError
from recdistill.knowledge import Knowledge
from recdistill.models import MF, LightGCN, ModelConfig, Popularity, SASRec
from recdistill.models.base import VectorModel
from recdistill.models.stored import stored_model
from recdistill.teachers import own_vectors
from recdistill.teachers.own_vectors import leave_vectors
from recdistill.testing import tiny_split

SPLIT = tiny_split(n_users=25, n_items=30)


def _model(config: ModelConfig) -> VectorModel:
    model = config.build(SPLIT, seed=1)
    assert isinstance(model, VectorModel)
    return model


@pytest.mark.parametrize("config", [MF(dim=6), SASRec(dim=8, max_length=5), LightGCN(dim=4), Popularity()])
def test_users_items_and_weights(tmp_path: Path, config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_vectors, "_PLACES", 35)  # several batches
    model = _model(config)
    leave_vectors(model, SPLIT, tmp_path, "big")
    knowledge = Knowledge.open(tmp_path)
    (users,), (weights,) = knowledge.embeddings("big", keyed_by="user"), knowledge.weights("big")
    assert users.manifest.dataset_fingerprint == weights.manifest.dataset_fingerprint == SPLIT.fingerprint
    assert len(users) == SPLIT.n_users
    np.testing.assert_allclose(users.all(), model.encode(SPLIT.valid), rtol=2e-3, atol=1e-3)  # float16
    np.testing.assert_array_equal(weights.tensors()["items"], model.item_vectors())
    times = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    leave_vectors(model, SPLIT, tmp_path, "big")
    assert times == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}


def test_a_network_can_be_made_again_from_its_weights(tmp_path: Path) -> None:
    model = _model(SASRec(dim=8, max_length=5))
    leave_vectors(model, SPLIT, tmp_path, "big")
    (store,) = Knowledge.open(tmp_path).weights()
    again = stored_model(store)
    np.testing.assert_array_equal(again.score(SPLIT.test), model.score(SPLIT.test))


def test_what_is_no_network_cannot_be_made_again(tmp_path: Path) -> None:
    leave_vectors(_model(Popularity()), SPLIT, tmp_path, "big")
    with pytest.raises(KnowledgeError, match=r"the weights by 'big' are not all of a network.*teach again"):
        stored_model(Knowledge.open(tmp_path).weights()[0])


def test_users_without_events_have_no_vector(tmp_path: Path) -> None:
    train = SPLIT.train.keep(SPLIT.train.row_of_event() != 3)
    split = Split(SPLIT.dataset, train, SPLIT.valid, SPLIT.test, SPLIT.method)
    leave_vectors(_model(SASRec(dim=8)), split, tmp_path, "big")
    (users,) = Knowledge.open(tmp_path).embeddings(keyed_by="user")
    assert np.flatnonzero(~users.all().any(axis=1)).tolist() == [3]
