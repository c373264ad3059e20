"""Coverage, Gini, novelty and diversity against slow oracles."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.data.dataset import Catalogue
from recdistill.evaluation.beyond import coverage, diversity, gini, item_vectors, novelty

N_ITEMS = 8
lists = st.lists(st.permutations(range(-1, N_ITEMS)), min_size=1, max_size=5).map(
    lambda rows: np.array(rows, dtype=np.int32)
)
Items = npt.NDArray[np.int32]
POPULARITY = np.array([9, 5, 3, 3, 1, 1, 0, 0])
CATEGORIES = [("a", "b"), ("a",), ("b", "c"), ("c", "c"), (), ("d",), ("a", "b", "c"), ()]


def catalogue(categories: list[tuple[str, ...]] | None) -> Catalogue:
    return Catalogue([str(i) for i in range(N_ITEMS)], categories=categories)


@given(lists, st.integers(1, N_ITEMS))
def test_coverage_counts_different_items(ranked: Items, k: int) -> None:
    assert coverage(ranked, k, N_ITEMS) == len(set(ranked[:, :k].ravel()) - {-1}) / N_ITEMS


@given(lists, st.integers(2, N_ITEMS))
def test_gini_is_the_mean_difference_of_counts(ranked: Items, k: int) -> None:
    counts = [int((ranked[:, :k] == item).sum()) for item in range(N_ITEMS)]
    differences = sum(abs(a - b) for a, b in product(counts, counts))
    expected = differences / (2 * N_ITEMS * sum(counts))
    assert gini(ranked, k, N_ITEMS) == pytest.approx(expected)


def test_gini_of_equal_and_of_single_items() -> None:
    assert gini(np.arange(N_ITEMS, dtype=np.int32)[:, None], 1, N_ITEMS) == pytest.approx(0)
    assert gini(np.zeros((5, 1), dtype=np.int32), 1, N_ITEMS) == pytest.approx(1 - 1 / N_ITEMS)
    assert np.isnan(gini(np.full((2, 2), -1, dtype=np.int32), 1, N_ITEMS))


@given(lists, st.integers(2, N_ITEMS))
def test_novelty_is_the_mean_information(ranked: Items, k: int) -> None:
    share = (POPULARITY + 1) / (POPULARITY + 1).sum()
    expected = [np.mean([-np.log2(share[i]) for i in row[:k] if i >= 0]) for row in ranked]
    np.testing.assert_allclose(novelty(ranked, k, POPULARITY), expected)


def slow_diversity(row: Items, vectors: npt.NDArray[np.float64]) -> float:
    known = [vectors[i] / np.linalg.norm(vectors[i]) for i in row if i >= 0 and vectors[i].any()]
    pairs = [1 - float(a @ b) for a, b in combinations(known, 2)]
    return float(np.mean(pairs)) if pairs else float("nan")


@pytest.mark.parametrize("rows", [8192, 2])
@given(ranked=lists, k=st.integers(1, N_ITEMS))
def test_diversity_is_the_mean_over_pairs(rows: int, ranked: Items, k: int) -> None:
    dense = np.zeros((N_ITEMS, 4))
    for item, categories in enumerate(CATEGORIES):
        for name in categories:
            dense[item, "abcd".index(name)] = 1
    expected = [slow_diversity(row[:k], dense) for row in ranked]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recdistill.evaluation.beyond._ROWS", rows)
        for vectors in (item_vectors(catalogue(CATEGORIES)), item_vectors(catalogue(None), dense)):
            np.testing.assert_allclose(diversity(ranked, k, vectors), expected, atol=1e-9)


def test_without_categories_there_are_no_vectors() -> None:
    assert item_vectors(catalogue(None)) is None
    assert item_vectors(catalogue([()] * N_ITEMS)) is None


def test_no_lists_have_no_diversity() -> None:
    assert diversity(np.zeros((0, 3), dtype=np.int32), 3, np.eye(N_ITEMS)).shape == (0,)


def test_an_empty_list_has_no_novelty() -> None:
    assert np.isnan(novelty(np.full((1, 2), -1, dtype=np.int32), 2, POPULARITY)).all()
