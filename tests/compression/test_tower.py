"""The text tower: it recovers what words determine, and says how much that is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recdistill.compression.tower import _bags, _ridge, _sparse_ridge, _vocabulary, fit_tower
from recdistill.errors import BundleError

RANDOM = np.random.default_rng(0)
WORDS = [f"word{at}" for at in range(60)]
TRUE = RANDOM.normal(size=(60, 6))


def made(n: int, noise: float, seed: int) -> tuple[list[str], np.ndarray]:
    """Texts of five words, and vectors that are the mean of what the words stand for."""
    random = np.random.default_rng(seed)
    chosen = random.integers(0, 60, (n, 5))
    texts = [" ".join(WORDS[at] for at in row) for row in chosen]
    vectors = TRUE[chosen].mean(axis=1) + noise * random.normal(size=(n, 6))
    return texts, vectors.astype(np.float32)


def test_vectors_of_texts_never_seen_are_found() -> None:
    texts, vectors = made(3_000, 0.05, 1)
    fitted = fit_tower(texts, vectors, np.ones(3_000, np.int64))
    new_texts, new_vectors = made(200, 0.0, 2)
    got = fitted.tower.embed(new_texts)
    left = np.square(got - new_vectors).sum() / np.square(new_vectors - vectors.mean(axis=0)).sum()
    assert left < 0.1
    assert fitted.explained == pytest.approx(1 - left, abs=0.1)


def test_an_encoder_helps_where_few_items_were_used() -> None:
    texts, vectors = made(3_000, 0.3, 1)
    counts = np.zeros(3_000, np.int64)
    counts[:80] = 1
    turn = np.linalg.qr(RANDOM.normal(size=(6, 6)))[0]
    encoder = made(3_000, 0.02, 1)[1] @ turn  # knows all texts, in a space of its own
    new_texts, new_vectors = made(300, 0.0, 2)
    left = {}
    for name, embeddings in (("alone", None), ("taught", encoder)):
        got = fit_tower(texts, vectors, counts, embeddings=embeddings).tower.embed(new_texts)
        left[name] = float(np.square(got - new_vectors).sum())
    assert left["taught"] < 0.7 * left["alone"]


def test_items_without_events_are_not_learned_from() -> None:
    texts, vectors = made(500, 0.05, 1)
    counts = np.ones(500, np.int64)
    counts[250:] = 0
    wrong = vectors.copy()
    wrong[250:] = 1e6
    one, other = (fit_tower(texts, values, counts).tower.embed(texts[:5]) for values in (vectors, wrong))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_words_are_weighed_and_left_out_by_how_often_they_stand() -> None:
    known = _vocabulary(["the cat", "the dog", "the cat"], 10)
    assert [*known] == ["the", "cat"]
    assert known["cat"] > known["the"] > 0
    bags = _bags(["the cat", "dog", ""], known)
    np.testing.assert_allclose(bags.toarray().sum(axis=1), [1, 0, 0])
    assert [*_vocabulary(["a b", "a b", "a"], 1)] == ["a"]


def test_conjugate_gradients_solve_the_ridge() -> None:
    bags = sparse.random(80, 30, density=0.2, random_state=0, format="csr")
    wanted, weights = RANDOM.normal(size=(80, 4)), RANDOM.random(80)
    expected = _ridge(bags.toarray(), wanted, weights, 0.5)
    np.testing.assert_allclose(_sparse_ridge(bags, wanted, weights, 0.5), expected, atol=1e-6)


def test_nothing_to_learn_from() -> None:
    with pytest.raises(BundleError, match="fewer than two items have text and events"):
        fit_tower(["a b", "a b"], np.ones((2, 3), np.float32), np.array([1, 0]))
