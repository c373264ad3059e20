from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.data.dataset import Contexts
from recdistill.data.sequences import Sequences
from recdistill.errors import ConfigError, RecdistillError
from recdistill.evaluation import rank
from recdistill.models import ModelConfig, RankingModel, VectorModel
from tests.synthetic import contexts_of

Floats = npt.NDArray[np.float32]


class Fixed(RankingModel):
    """Scores a context by a table, row = user."""

    def __init__(self, table: Any) -> None:
        self.table = np.asarray(table, dtype=np.float32)
        self.config, self.n_items, self.n_users = ModelConfig(), self.table.shape[1], len(self.table)

    def score(self, contexts: Contexts) -> Floats:
        return self.table[contexts.users]

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {"table": self.table}


class Product(VectorModel):
    """Random vectors of 3 numbers."""

    def __init__(self, n_users: int, n_items: int, bias: bool) -> None:
        rng = np.random.default_rng(0)
        self.users = rng.normal(size=(n_users, 3)).astype(np.float32)
        self.items = rng.normal(size=(n_items, 3)).astype(np.float32)
        self.bias = rng.normal(size=n_items).astype(np.float32) if bias else None
        self.config, self.n_items, self.n_users = ModelConfig(), n_items, n_users

    def encode(self, contexts: Contexts) -> Floats:
        return self.users[contexts.users]

    def item_vectors(self) -> Floats:
        return self.items

    def item_bias(self) -> Floats | None:
        return self.bias

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {}


def slow(table: Any, k: int, hidden: list[set[int]] | None = None) -> npt.NDArray[np.int32]:
    lists = []
    for row, scores in enumerate(np.asarray(table, dtype=np.float32)):
        left = [i for i in range(len(scores)) if scores[i] > -np.inf and not (hidden and i in hidden[row])]
        best = sorted(left, key=lambda i: (-scores[i], i))[:k]
        lists.append(best + [-1] * (k - len(best)))
    return np.array(lists, dtype=np.int32)


def ask(n: int) -> Contexts:
    return contexts_of([[] for _ in range(n)], list(range(n)))


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.integers(1, 30), st.integers(1, 4), st.integers(1, 6))
def test_lists_are_exact_with_ties_by_index(seed: int, n_items: int, k: int, levels: int, block: int) -> None:
    """Few different scores over several chunks, so that most lists end within a tie."""
    rng = np.random.default_rng(seed)
    table = rng.integers(-levels, levels + 1, size=(5, n_items)) / 3
    np.testing.assert_array_equal(rank(Fixed(table), ask(5), k, block=block), slow(table, k))


@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 30))
def test_lists_of_any_floats_are_exact(seed: int, n_items: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(4, n_items)).astype(np.float32) * 10.0 ** rng.integers(-38, 38, size=(4, n_items))
    table[rng.random(table.shape) < 0.1] = -np.inf
    table[rng.random(table.shape) < 0.1] = -0.0
    table[rng.random(table.shape) < 0.1] = 0.0
    np.testing.assert_array_equal(rank(Fixed(table), ask(4), k), slow(table, k))


@pytest.mark.parametrize("bias", [True, False])
def test_vector_models_are_ranked_by_the_same_scores(bias: bool) -> None:
    model = Product(30, 500, bias)
    scores = model.score(ask(30))
    found = rank(model, ask(30), 20, block=7)
    np.testing.assert_allclose(
        np.take_along_axis(scores, found, 1), np.take_along_axis(scores, slow(scores, 20), 1), rtol=1e-5
    )


histories = st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=3, max_size=3)


@given(histories, histories)
def test_the_history_is_left_out_whatever_the_targets_are(history: list[list[int]], targets: list[list[int]]) -> None:
    table = np.random.default_rng(0).normal(size=(3, 10))
    contexts = Contexts(np.arange(3, dtype=np.int32), Sequences.from_lists(history), Sequences.from_lists(targets))
    hidden = [set(seen) for seen in history]
    np.testing.assert_array_equal(rank(Fixed(table), contexts, 10), slow(table, 10, hidden))
    np.testing.assert_array_equal(rank(Fixed(table), contexts, 10, exclude_history=False), slow(table, 10))


def test_lists_longer_than_the_catalogue_end_with_none() -> None:
    np.testing.assert_array_equal(rank(Fixed([[1, 2]]), ask(1), 4), [[1, 0, -1, -1]])


def test_the_table_of_the_model_is_left_alone() -> None:
    model = Fixed(np.ones((2, 70)))
    rank(model, contexts_of([[1], [2]], [0, 1]), 3)
    assert (model.table == 1).all()


def test_no_contexts_give_no_lists() -> None:
    assert rank(Product(1, 5, True), ask(0), 3).shape == (0, 3)


@pytest.mark.parametrize("block", [None, 1])
def test_nan_is_an_error(block: int | None) -> None:
    with pytest.raises(RecdistillError, match="as NaN"):
        rank(Fixed([[1, 2], [np.nan, 1]]), ask(2), 1, block=block)


@pytest.mark.parametrize(("k", "block"), [(0, None), (1, 0)])
def test_sizes_below_1_are_refused(k: int, block: int | None) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        rank(Fixed([[1, 2]]), ask(1), k, block=block)
