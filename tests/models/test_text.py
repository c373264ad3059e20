"""Text embeddings inside a recommender."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recdistill.errors import ConfigError, KnowledgeError
from recdistill.knowledge import EmbeddingsWriter, Knowledge
from recdistill.models import FISM, HSTU, MF, SASRec, load_model
from recdistill.models.neural import NeuralModel
from recdistill.models.sequence import SequenceConfig
from recdistill.models.text import NullSpaceFusion, item_text, shared_space, whiten
from recdistill.teachers.own_vectors import leave_vectors
from recdistill.training import Training, fit
from tests.synthetic import tiny_split

SPLIT = tiny_split()
VECTORS = np.random.default_rng(0).standard_normal((SPLIT.n_items, 12)).astype(np.float32) * np.arange(12, 0, -1)


@pytest.fixture
def encoder(tmp_path: Path) -> Knowledge:
    writer = EmbeddingsWriter(
        tmp_path / "encoder", teacher="encoder", teacher_fingerprint="-", rows=SPLIT.n_items, dim=12,
        dataset_fingerprint=SPLIT.dataset.items.fingerprint,
    )  # fmt: skip
    writer.add(np.arange(SPLIT.n_items), VECTORS)
    return Knowledge((writer.seal(),))


def test_free_vectors_only_where_texts_say_little() -> None:
    fusion, items = NullSpaceFusion(whiten(VECTORS, 12), 8, 5), torch.randn(SPLIT.n_items, 3)
    assert fusion.free == 3
    wanted = whiten(VECTORS, 8)  # the leading components, of the same length
    np.testing.assert_allclose(fusion(items)[:, :5], wanted[:, :5], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fusion(items)[:, 5:], wanted[:, 5:] + items.numpy(), rtol=1e-4, atol=1e-5)
    wide = NullSpaceFusion(VECTORS[:, :4], 8, 2)(torch.zeros(SPLIT.n_items, 6))
    assert not wide[:, 4:].any()


@pytest.mark.parametrize(
    "config",
    [
        SASRec(dim=8, text="encoder", fusion="null-space"),
        HSTU(dim=8, text="encoder", fusion="null-space", semantic=2),
        FISM(dim=8, text="encoder", fusion="null-space", semantic=0),
    ],
)
def test_a_student_learns_in_the_null_space_and_keeps_the_meaning(
    config: SequenceConfig, encoder: Knowledge, tmp_path: Path
) -> None:
    semantic = 4 if config.semantic is None else config.semantic
    before = config.build(SPLIT, encoder)
    assert isinstance(before, NeuralModel)
    assert before.get_parameter("items").shape == (SPLIT.n_items, 8 - semantic)
    after = fit(config, SPLIT, knowledge=encoder, training=Training(epochs=2, batch=200)).model
    assert isinstance(after, NeuralModel)
    same = before.item_vectors() == after.item_vectors()
    assert same[:, :semantic].all()
    assert not same[:, semantic:].all()
    after.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.score(SPLIT.test), after.score(SPLIT.test))


def test_what_does_not_go_together() -> None:
    for parameters, message in (
        ({"fusion": "null-space"}, "null-space fusion needs the embeddings of one teacher"),
        ({"fusion": "null-space", "text": "all"}, "null-space fusion needs the embeddings of one teacher"),
        ({"text": "a", "semantic": 3}, "semantic=3 of dim=64; it goes with fusion: null-space"),
        ({"text": "a", "fusion": "null-space", "semantic": 64}, "leaves room for free vectors"),
    ):
        with pytest.raises(ConfigError, match=message):
            SASRec(**parameters)


def test_two_catalogues_share_a_space() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(3.0, 2.0, size=(5, 9)), rng.normal(-1.0, 1.0, size=(4, 9))
    one, other = shared_space(source, target)
    centred = [source - source.mean(0), target - target.mean(0)]
    scale = ((centred[0] ** 2).sum() + (centred[1] ** 2).sum()) / 9
    np.testing.assert_allclose(one, centred[0] / scale**0.5, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one @ other.T, centred[0] @ centred[1].T / scale, rtol=1e-4, atol=1e-5)
    alike, _ = shared_space(np.ones((3, 2)), np.zeros((2, 2)))
    assert not alike.any()


def test_item_vectors_of_a_recommender_go_inside_like_an_encoders(tmp_path: Path) -> None:
    split = tiny_split()
    model = MF(dim=4).build(split)
    leave_vectors(model, split, tmp_path, "mf")
    knowledge = Knowledge.open(tmp_path)
    np.testing.assert_allclose(item_text(knowledge, "mf"), whiten(model.item_vectors()))
    with pytest.raises(KnowledgeError, match="no teacher left embeddings of items"):
        item_text(knowledge, "all")
