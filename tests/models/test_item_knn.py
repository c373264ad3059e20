from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.data.sequences import Sequences
from recdistill.models import ItemKNN
from recdistill.models.item_knn import co_occurrences, history_matrix
from tests.synthetic import contexts_of, tiny_split

rows = st.lists(st.lists(st.integers(0, 7), max_size=9), min_size=1, max_size=6)


def slow_counts(histories: list[list[int]], window: int, closeness: float) -> dict[tuple[int, int], float]:
    counts: dict[tuple[int, int], float] = defaultdict(float)
    for row in histories:
        for p, first in enumerate(row):
            for q in range(p + 1, min(p + window, len(row) - 1) + 1):
                if row[q] != first:
                    counts[first, row[q]] += (q - p) ** -closeness
    return counts


@given(rows, st.integers(1, 10), st.sampled_from([0.0, 0.5, 1.0]))
def test_pairs_are_counted_as_by_hand(histories: list[list[int]], window: int, closeness: float) -> None:
    counts = co_occurrences(Sequences.from_lists(histories), 8, window, closeness).toarray()
    expected = np.zeros((8, 8))
    for pair, count in slow_counts(histories, window, closeness).items():
        expected[pair] = count
    np.testing.assert_allclose(counts, expected, rtol=1e-5)


def test_pairs_are_counted_in_parts_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    train = tiny_split().train
    whole = co_occurrences(train, 40, 10, 0.5)
    monkeypatch.setattr("recdistill.models.item_knn._PAIRS", 10)
    np.testing.assert_allclose(co_occurrences(train, 40, 10, 0.5).toarray(), whole.toarray(), rtol=1e-5)


@given(rows, st.floats(0.1, 1.0), st.integers(1, 9))
def test_histories_fade_with_age(histories: list[list[int]], decay: float, longest: int) -> None:
    found = history_matrix(Sequences.from_lists(histories), 8, decay, longest).toarray()
    for row, history in zip(found, histories, strict=True):
        expected = np.zeros(8)
        for age, item in enumerate(reversed(history[-longest:])):
            expected[item] = max(expected[item], decay**age)
        np.testing.assert_allclose(row, expected, rtol=1e-5)


def test_scores_are_those_of_the_formula() -> None:
    split = tiny_split()
    config = ItemKNN(neighbours=40, window=3, backward=0.5, shrink=2, popularity=0.3, decay=0.8, closeness=1)
    histories = [[1, 2, 3], [5], [7, 7, 9]]
    forward = slow_counts([split.train[u].tolist() for u in range(split.n_users)], 3, 1.0)
    events = split.popularity
    expected = np.zeros((3, split.n_items))
    for row, history in enumerate(histories):
        weights = {item: 0.8 ** (len(history) - 1 - place) for place, item in enumerate(history)}
        for i, weight in weights.items():
            for j in range(split.n_items):
                count = forward[i, j] + 0.5 * forward[j, i]
                expected[row, j] += weight * count / (events[i] ** 0.7 * events[j] ** 0.3 + 2)
    scores = config.build(split).score(contexts_of(histories))
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=2e-6)


def test_only_the_nearest_neighbours_are_kept_and_ties_go_to_lower_items() -> None:
    split = tiny_split()
    every = ItemKNN(neighbours=40).build(split).similar.toarray()
    few = ItemKNN(neighbours=3).build(split).similar.toarray()
    for all_of_row, row in zip(every, few, strict=True):
        best = np.argsort(-all_of_row, kind="stable")[:3]
        expected = np.zeros_like(all_of_row)
        expected[best] = all_of_row[best]
        np.testing.assert_array_equal(row, expected)


def test_without_order_the_similarity_is_symmetric() -> None:
    similar = ItemKNN(neighbours=40, backward=1, popularity=0.5).build(tiny_split()).similar.toarray()
    np.testing.assert_allclose(similar, similar.T, rtol=1e-5)


def test_an_empty_history_gets_the_popular_items() -> None:
    split = tiny_split()
    scores = ItemKNN().build(split).score(contexts_of([[]]))[0]
    assert scores.argmax() == split.popularity.argmax()


def test_parameters_are_the_stored_values() -> None:
    model = ItemKNN(neighbours=2).build(tiny_split())
    assert model.n_parameters == model.similar.nnz + 40
