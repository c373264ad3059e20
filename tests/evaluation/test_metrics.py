"""Every metric against scikit-learn or a slow oracle, and properties of all."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from recdistill.data.sequences import Sequences
from recdistill.errors import ConfigError
from recdistill.evaluation import metric_values
from recdistill.evaluation.metrics import METRICS

N_ITEMS = 12


def slow_hr(ranked: list[int], wanted: set[int], k: int) -> float:
    return float(any(item in wanted for item in ranked[:k]))


def slow_recall(ranked: list[int], wanted: set[int], k: int) -> float:
    return len(wanted.intersection(ranked[:k])) / len(wanted)


def slow_precision(ranked: list[int], wanted: set[int], k: int) -> float:
    return len(wanted.intersection(ranked[:k])) / k


def slow_ndcg(ranked: list[int], wanted: set[int], k: int) -> float:
    gain = sum(1 / math.log2(place + 2) for place, item in enumerate(ranked[:k]) if item in wanted)
    return gain / sum(1 / math.log2(place + 2) for place in range(min(k, len(wanted))))


def slow_mrr(ranked: list[int], wanted: set[int], k: int) -> float:
    return next((1 / (place + 1) for place, item in enumerate(ranked[:k]) if item in wanted), 0.0)


def slow_map(ranked: list[int], wanted: set[int], k: int) -> float:
    found, total = 0, 0.0
    for place, item in enumerate(ranked[:k]):
        if item in wanted:
            found += 1
            total += found / (place + 1)
    return total / min(k, len(wanted))


ORACLES: dict[str, Callable[[list[int], set[int], int], float]] = {
    "hr": slow_hr,
    "recall": slow_recall,
    "precision": slow_precision,
    "ndcg": slow_ndcg,
    "mrr": slow_mrr,
    "map": slow_map,
}

permutations = st.permutations(range(N_ITEMS))
targets = st.lists(st.integers(0, N_ITEMS - 1), min_size=1, max_size=6)
cutoffs = st.integers(1, N_ITEMS)
questions = st.lists(st.tuples(permutations, targets), min_size=1, max_size=4)


def values(ranked: list[list[int]], wanted: list[list[int]], metric: str) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = metric_values(
        np.array(ranked, dtype=np.int32), Sequences.from_lists(wanted), metric
    )
    return found


@pytest.mark.parametrize("name", METRICS)
@given(
    ranked=st.lists(st.tuples(permutations, targets), min_size=1, max_size=4), k=cutoffs, left=st.integers(0, N_ITEMS)
)
def test_metrics_equal_their_slow_oracles(
    name: str, ranked: list[tuple[list[int], list[int]]], k: int, left: int
) -> None:
    """``left`` items remain in each list, the rest is -1."""
    lists = [[item if place < left else -1 for place, item in enumerate(row)] for row, _ in ranked]
    found = values(lists, [wanted for _, wanted in ranked], f"{name}@{k}")
    expected = [ORACLES[name](row, set(wanted), k) for row, (_, wanted) in zip(lists, ranked, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@given(scores=st.permutations(range(N_ITEMS)), wanted=targets, k=cutoffs)
def test_ndcg_is_that_of_scikit_learn(scores: list[int], wanted: list[int], k: int) -> None:
    relevance = np.isin(np.arange(N_ITEMS), wanted)[None]
    ranked = np.argsort(scores)[::-1].tolist()
    expected = ndcg_score(relevance, np.array([scores]), k=k)
    np.testing.assert_allclose(values([ranked], [wanted], f"ndcg@{k}"), [expected], rtol=1e-12)


@given(scores=st.permutations(range(N_ITEMS)), wanted=targets)
def test_map_of_the_whole_list_is_average_precision_of_scikit_learn(scores: list[int], wanted: list[int]) -> None:
    expected = average_precision_score(np.isin(np.arange(N_ITEMS), wanted), scores)
    found = values([np.argsort(scores)[::-1].tolist()], [wanted], f"map@{N_ITEMS}")
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


@pytest.mark.parametrize("name", METRICS)
@given(ranked=permutations, wanted=targets, k=cutoffs)
def test_metrics_lie_between_0_and_1(name: str, ranked: list[int], wanted: list[int], k: int) -> None:
    assert 0 <= values([ranked], [wanted], f"{name}@{k}")[0] <= 1 + 1e-12


@pytest.mark.parametrize("name", METRICS)
@given(ranked=permutations, wanted=targets, k=cutoffs, names=permutations)
def test_metrics_do_not_depend_on_item_numbers_nor_target_order(
    name: str, ranked: list[int], wanted: list[int], k: int, names: list[int]
) -> None:
    renamed = values([[names[i] for i in ranked]], [[names[i] for i in reversed(wanted)]], f"{name}@{k}")
    np.testing.assert_array_equal(renamed, values([ranked], [wanted], f"{name}@{k}"))


@pytest.mark.parametrize("name", METRICS)
@given(ranked=permutations, wanted=targets, k=cutoffs, place=st.integers(1, N_ITEMS - 1))
def test_moving_a_hit_up_never_hurts(name: str, ranked: list[int], wanted: list[int], k: int, place: int) -> None:
    if ranked[place] in wanted and ranked[place - 1] not in wanted:
        better = ranked.copy()
        better[place - 1], better[place] = ranked[place], ranked[place - 1]
        before, after = values([ranked], [wanted], f"{name}@{k}"), values([better], [wanted], f"{name}@{k}")
        assert after >= before


def test_a_perfect_list_gets_1() -> None:
    for name in ("hr", "recall", "precision", "ndcg", "mrr", "map"):
        assert values([[4, 2, 7]], [[2, 4, 7]], f"{name}@3") == 1


def test_contexts_without_targets_have_no_value() -> None:
    np.testing.assert_array_equal(values([[1, 2], [1, 2]], [[], [2]], "hr@2"), [np.nan, 1])
    assert np.isnan(values([[1, 2]], [[]], "ndcg@2")).all()


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("ndgc@2", "did you mean 'ndcg'"),
        ("ndcg", "such as 'ndcg@10'"),
        ("ndcg@0", "is not a metric"),
        ("ndcg@3", "needs lists of 3 items, these have 2"),
    ],
)
def test_a_wrong_metric_is_refused(metric: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        values([[1, 2]], [[1]], metric)
