"""EASE, popularity and text neighbours against their formulas."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from recdistill.data.dataset import Split
from recdistill.data.sequences import Sequences
from recdistill.errors import ConfigError, DataError, KnowledgeError
from recdistill.models import EASE, Popularity, TextKNN
from recdistill.models.text import whiten
from tests.models.test_contract import text_knowledge
from tests.synthetic import contexts_of, tiny_split


def steck(split: Split, l2: float) -> npt.NDArray[np.float64]:
    """The listing of the paper."""
    x = np.zeros((split.n_users, split.n_items))
    x[split.train.row_of_event(), split.train.items] = 1
    gram = x.T @ x
    gram[np.diag_indices(split.n_items)] += l2
    inverse = np.linalg.inv(gram)
    weights: npt.NDArray[np.float64] = inverse / -np.diag(inverse)
    weights[np.diag_indices(split.n_items)] = 0
    return weights


@pytest.mark.parametrize("n_users", [60, 20])
@pytest.mark.parametrize("exact", [True, False])
def test_ease_is_the_closed_form_with_more_and_with_fewer_users_than_items(
    n_users: int, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recdistill.models.ease._EXACT", 5_000 if exact else 0)
    split = tiny_split(n_users)
    weights = EASE(l2=3).build(split).weights
    np.testing.assert_allclose(weights, steck(split, 3), atol=1e-6 if exact else 1e-5)


def test_ease_weighs_the_history_by_age() -> None:
    split = tiny_split()
    model = EASE(l2=3, decay=0.5).build(split)
    expected = model.weights[4] + 0.5 * model.weights[9]
    np.testing.assert_allclose(model.score(contexts_of([[9, 4]]))[0], expected, atol=2e-6)


def test_ease_refuses_a_large_catalogue_and_names_the_way_out() -> None:
    with pytest.raises(ConfigError, match="use item-knn, which is sparse"):
        EASE(max_items=39).build(tiny_split())


def test_popularity_is_the_log_of_the_counts() -> None:
    split = tiny_split()
    scores = Popularity().build(split).score(split.test)
    np.testing.assert_allclose(np.expm1(scores[0]), split.popularity, rtol=1e-5)
    assert (scores == scores[0]).all()


def test_popularity_halves_with_every_half_life() -> None:
    split = tiny_split()
    times = split.train.times
    assert times is not None
    expected = np.zeros(split.n_items)
    for item, time in zip(split.train.items, times, strict=True):
        expected[item] += 0.5 ** ((times.max() - time) / 86_400_000 / 3)
    scores = Popularity(half_life_days=3).build(split).score(split.test)[0]
    np.testing.assert_allclose(np.expm1(scores), expected, rtol=1e-4, atol=1e-6)


def test_popularity_with_a_half_life_needs_times() -> None:
    split = tiny_split()
    timeless = Split(split.dataset, split.train.without_extras(), split.valid, split.test, split.method)
    with pytest.raises(DataError, match="needs times"):
        Popularity(half_life_days=3).build(timeless)


def test_text_neighbours_are_cosines_with_the_fading_history() -> None:
    split, knowledge = tiny_split(), text_knowledge()
    white = whiten(knowledge.embeddings()[0].all()).astype(np.float64)
    unit = white / np.linalg.norm(white, axis=1, keepdims=True)
    expected = (unit[3] + 0.5 * unit[8]) / 1.5 @ unit.T
    scores = TextKNN(decay=0.5).build(split, knowledge).score(contexts_of([[8, 3]]))[0]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_text_neighbours_rank_cold_items() -> None:
    split = tiny_split()
    scores = TextKNN().build(split, text_knowledge()).score(contexts_of([[0]]))[0]
    assert len(np.unique(scores[split.popularity == 0])) == 2


def test_text_neighbours_without_embeddings_are_refused() -> None:
    with pytest.raises(KnowledgeError, match="teach with a text or LLM encoder first"):
        TextKNN().build(tiny_split())


def test_whitening_decorrelates() -> None:
    rng = np.random.default_rng(0)
    narrow = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)) + 5
    white = whiten(narrow)
    np.testing.assert_allclose(white.T @ white / 200 * 6, np.eye(6), atol=1e-4)
    assert whiten(narrow, dim=3).shape == (200, 3)


def test_empty_training_rows_are_no_obstacle() -> None:
    split = tiny_split()
    empty = Sequences.from_lists([[] for _ in range(split.n_users)])
    nothing = Split(split.dataset, empty, split.valid, split.test, split.method)
    for config in (Popularity(), EASE()):
        assert np.isfinite(config.build(nothing).score(split.test)).all()
