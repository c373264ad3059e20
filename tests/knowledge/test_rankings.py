from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from recdistill.data.sequences import Sequences
from recdistill.errors import KnowledgeError
from recdistill.knowledge import Rankings, rankings_of

N_ITEMS = 400


def _scores(n: int = 40, spread: float = 2.0) -> np.ndarray:
    return (np.random.default_rng(1).normal(size=(n, N_ITEMS)) * spread).astype(np.float32)


def _exact_tail(scores: np.ndarray, rankings: Rankings, temperature: float) -> np.ndarray:
    full = log_softmax(scores.astype(np.float64), axis=1)
    np.put_along_axis(full, rankings.items.astype(np.int64), -np.inf, axis=1)
    return np.asarray(logsumexp(full / temperature, axis=1))


def test_first_items_by_full_sort() -> None:
    scores = _scores()
    found = rankings_of(scores, 7)
    np.testing.assert_array_equal(found.items, np.argsort(-scores, axis=1)[:, :7])
    expected = np.take_along_axis(log_softmax(scores.astype(np.float64), axis=1), found.items.astype(np.int64), axis=1)
    np.testing.assert_allclose(found.logp, expected, atol=1e-5)
    assert (found.confidence == 1).all()


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_tail_is_exact_where_it_is_stored(temperature: float) -> None:
    scores = _scores()
    found = rankings_of(scores, 20)
    np.testing.assert_allclose(found.tail_at(temperature, N_ITEMS), _exact_tail(scores, found, temperature), atol=1e-5)


@pytest.mark.parametrize("temperature", [1.2, 1.5, 3.0, 6.0, 10.0, 1000.0])
@pytest.mark.parametrize("spread", [0.5, 2.0, 4.0])
def test_tail_between_is_close(temperature: float, spread: float) -> None:
    scores = _scores(spread=spread)
    found = rankings_of(scores, 20)
    np.testing.assert_allclose(found.tail_at(temperature, N_ITEMS), _exact_tail(scores, found, temperature), atol=0.05)


def test_tail_below_one_is_an_upper_bound() -> None:
    scores = _scores()
    found = rankings_of(scores, 20)
    exact = _exact_tail(scores, found, 0.5)
    assert (found.tail_at(0.5, N_ITEMS) >= exact - 1e-5).all()
    assert (found.tail_at(0.5, N_ITEMS) <= found.tail_at(1.0, N_ITEMS)).all()


def test_no_tail_where_everything_is_listed() -> None:
    found = rankings_of(_scores(3)[:, :5], 8)
    assert (found.items[:, :5] >= 0).all()
    assert (found.items[:, 5:] == -1).all()
    assert np.isneginf(found.logp[:, 5:]).all()
    for temperature in (0.5, 1.0, 3.0):
        assert np.isneginf(found.tail_at(temperature, 5)).all()
    np.testing.assert_allclose(np.exp(found.logp).sum(1), 1, rtol=1e-5)


def test_excluded_items_have_no_probability() -> None:
    scores = _scores(3)[:, :6]
    found = rankings_of(scores, 6, Sequences.from_lists([[0, 1], [], [0, 1, 2, 3, 4, 5]]))
    assert set(found.items[0].tolist()) == {2, 3, 4, 5, -1}
    np.testing.assert_allclose(np.exp(found.logp[0]).sum(), 1, rtol=1e-5)
    assert (found.items[2] == -1).all()
    assert found.confidence.tolist() == [1, 1, 0]


def test_equal_scores_are_listed_by_index() -> None:
    assert rankings_of(np.zeros((2, 4), np.float32), 4).items.tolist() == [[0, 1, 2, 3]] * 2


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, seen = _scores(9), Sequences.from_lists([[i] for i in range(9)])
    whole = rankings_of(scores, 4, seen)
    monkeypatch.setattr("recdistill.knowledge.rankings._CHUNK_NUMBERS", 2 * N_ITEMS)
    parts = rankings_of(scores, 4, seen)
    np.testing.assert_array_equal(whole.items, parts.items)
    np.testing.assert_array_equal(whole.tail, parts.tail)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_scores_that_are_no_numbers(wrong: float) -> None:
    scores = _scores(2)
    scores[1, 3] = wrong
    with pytest.raises(KnowledgeError, match="not a number"):
        rankings_of(scores, 3)


def test_take_and_none() -> None:
    found = rankings_of(_scores(4), 3)
    assert len(found.take(np.array([2, 0]))) == 2
    np.testing.assert_array_equal(found.take(np.array([2, 0])).items, found.items[[2, 0]])
    assert Rankings.none(2, 3).confidence.tolist() == [0, 0]
