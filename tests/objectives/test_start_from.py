"""Starting from a teacher's item vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recdistill.errors import KnowledgeError
from recdistill.knowledge import EmbeddingsWriter, Knowledge, WeightsStore
from recdistill.models import SASRec
from recdistill.objectives import StartFrom
from recdistill.objectives.start_from import leading
from tests.synthetic import tiny_split

from .test_embedding_hint import embeddings

SPLIT = tiny_split()


def weights(path: Path, n: int, dim: int = 12) -> tuple[Knowledge, np.ndarray]:
    vectors = np.random.default_rng(0).standard_normal((n, dim)).astype(np.float32)
    store = WeightsStore.write(path, "teacher", "-", SPLIT.fingerprint, {"items": vectors})
    return Knowledge((store,)), vectors


def test_leading_directions_keep_most_of_the_dot_products() -> None:
    vectors = np.random.default_rng(1).standard_normal((20, 8)) * np.arange(1, 9)
    got = leading(vectors, 3).astype(np.float64)
    u, s, _ = np.linalg.svd(vectors, full_matrices=False)
    best = u[:, :3] * s[:3]  # Eckart and Young
    np.testing.assert_allclose(got @ got.T, best @ best.T, rtol=1e-4, atol=1e-4)
    wide = leading(vectors, 10)
    assert wide.shape == (20, 10)
    assert not wide[:, 8:].any()
    np.testing.assert_allclose(wide @ wide.T, vectors @ vectors.T, rtol=1e-4, atol=1e-4)


def test_weights_and_blending(tmp_path: Path) -> None:
    known, vectors = weights(tmp_path / "w", SPLIT.n_items)
    before = SASRec(dim=4, heads=1).build(SPLIT)
    whole, half = (SASRec(dim=4, heads=1).build(SPLIT) for _ in range(2))
    StartFrom().build().prepare(whole, SPLIT, known, 0)
    StartFrom(weight=0.5).build().prepare(half, SPLIT, known, 0)
    start = torch.from_numpy(leading(vectors, 4))
    wanted = start * (before.items.std() / start.std(correction=0))
    torch.testing.assert_close(whole.items.detach(), wanted.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(half.items.detach(), (before.items + wanted).detach() / 2, rtol=1e-5, atol=1e-6)
    assert whole.items.requires_grad


def test_embeddings_are_whitened(tmp_path: Path) -> None:
    model = SASRec(dim=6, heads=1).build(SPLIT)
    StartFrom(kind="embeddings").build().prepare(model, SPLIT, embeddings(tmp_path), 0)
    covariance = np.cov(model.items.detach().numpy().T)
    np.testing.assert_allclose(covariance / covariance[0, 0], np.eye(6), atol=1e-4)


def test_items_without_an_embedding_keep_their_vector(tmp_path: Path) -> None:
    half, whole = np.arange(0, SPLIT.n_items, 2), np.random.default_rng(0).standard_normal((SPLIT.n_items, 9))
    writer = EmbeddingsWriter(
        tmp_path, teacher="encoder", teacher_fingerprint="-", rows=SPLIT.n_items, dim=9,
        dataset_fingerprint=SPLIT.dataset.items.fingerprint,
    )  # fmt: skip
    writer.add(half, whole[half].astype(np.float32))
    model = SASRec(dim=6, heads=1).build(SPLIT)
    before = model.items.detach().clone()
    StartFrom(kind="embeddings").build().prepare(model, SPLIT, Knowledge((writer.seal(),)), 0)
    torch.testing.assert_close(model.items.detach()[1::2], before[1::2])
    covariance = np.cov(model.items.detach().numpy()[half].T)
    np.testing.assert_allclose(covariance / covariance[0, 0], np.eye(6), atol=1e-4)


def test_refusals(tmp_path: Path) -> None:
    known, _ = weights(tmp_path / "a", SPLIT.n_items)
    few, _ = weights(tmp_path / "b", 5)
    model = SASRec(dim=4, heads=1).build(SPLIT)
    with pytest.raises(KnowledgeError, match="vectors for 5 items, the student needs 40"):
        StartFrom().build().prepare(model, SPLIT, few, 0)
    with pytest.raises(KnowledgeError, match="no tensor 'item' among the weights; did you mean 'items'"):
        StartFrom(tensor="item").build().prepare(model, SPLIT, known, 0)
    with pytest.raises(KnowledgeError, match="no free item vectors"):
        StartFrom().build().prepare(torch.nn.Linear(2, 2), SPLIT, known, 0)
    with pytest.raises(KnowledgeError, match="the weights by 'teacher' are about other data"):
        StartFrom().build().prepare(model, tiny_split(n_users=30), known, 0)
