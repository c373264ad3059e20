"""The correction of places against lists whose true probabilities are known."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recdistill.teachers.llm.tasks.places import without_places


def lists(n: int, m: int, seed: int, bias: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """True log-probabilities of random items, and what a model with a liking for places says of them."""
    true = np.random.default_rng(seed).standard_normal((n, m))
    true -= np.logaddexp.reduce(true, axis=1, keepdims=True)
    said = true if bias is None else true + bias
    return np.exp(true), np.exp(said - np.logaddexp.reduce(said, axis=1, keepdims=True))


def test_a_liking_that_multiplies_is_taken_off() -> None:
    bias = np.array([3.0, 1.0, 0.0, -1.0, -1.0])
    true, said = lists(4000, 5, 0, bias)
    right = true.argmax(axis=1)
    assert (said.argmax(axis=1) == right).mean() < 0.5
    fair = without_places(said)
    assert (fair.argmax(axis=1) == right).mean() > 0.97
    np.testing.assert_allclose(fair, true, atol=0.04)


def test_few_lists_without_a_liking_are_hardly_moved() -> None:
    for seed in range(5):
        true, _ = lists(12, 6, seed)
        moved = np.abs(without_places(true) - true).max()
        plain = np.log(true) - np.log(true).mean(axis=0)
        plain = np.exp(plain) / np.exp(plain).sum(axis=1, keepdims=True)
        assert moved <= np.abs(plain - true).max()


def test_a_single_list_stays_as_it_is() -> None:
    true, _ = lists(1, 4, 0)
    np.testing.assert_allclose(without_places(true), true)


@given(st.integers(0, 9), st.integers(2, 6), st.integers(0, 99))
def test_each_list_stays_a_distribution(n: int, m: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    _, said = lists(n, m, seed, random.standard_normal(m))
    for row in range(n):
        kept = random.integers(0, m + 1)
        said[row, kept:] = np.nan
    fair = without_places(said)
    assert (np.isnan(fair) == np.isnan(said)).all()
    np.testing.assert_allclose(np.nansum(fair, axis=1), (~np.isnan(said)).any(axis=1).astype(float))
