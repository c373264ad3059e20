from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.evaluation import transfer_ratio
from recdistill.evaluation.agreement import common, overlap, rank_biased_overlap

rows = st.permutations([*range(10), -1])


def slow_rbo(a: list[int], b: list[int], k: int, p: float) -> float:
    """Equation 30 of Webber et al., term by term."""

    def shared(depth: int) -> int:
        return len((set(a[:depth]) & set(b[:depth])) - {-1})

    total = sum(shared(depth) / depth * p**depth for depth in range(1, k + 1))
    return shared(k) / k * p**k + (1 - p) / p * total


@given(st.lists(st.tuples(rows, rows), min_size=1, max_size=4), st.integers(1, 10), st.floats(0.1, 0.99))
def test_agreement_equals_slow_oracles(pairs: list[tuple[list[int], list[int]]], k: int, p: float) -> None:
    a, b = (np.array(side, dtype=np.int32) for side in zip(*pairs, strict=True))
    expected = [len((set(x[:k]) & set(y[:k])) - {-1}) / k for x, y in pairs]
    np.testing.assert_allclose(overlap(a, b, k), expected)
    np.testing.assert_allclose(rank_biased_overlap(a, b, k, p), [slow_rbo(x, y, k, p) for x, y in pairs])


@given(st.lists(st.tuples(rows, rows), max_size=4), st.integers(1, 11), st.integers(1, 11))
def test_common_items_are_those_of_both_lists(pairs: list[tuple[list[int], list[int]]], k: int, depth: int) -> None:
    a, b = (np.array([pair[side] for pair in pairs], dtype=np.int32).reshape(-1, 11) for side in (0, 1))
    expected = [[item >= 0 and item in y[:depth] for item in x[:k]] for x, y in pairs]
    np.testing.assert_array_equal(common(a[:, :k], b[:, :depth]), np.array(expected, dtype=bool).reshape(-1, k))


@given(st.permutations(range(10)), st.permutations(range(10)), st.integers(1, 10))
def test_agreement_is_symmetric_and_1_for_equal_lists(x: list[int], y: list[int], k: int) -> None:
    a, b = np.array([x], dtype=np.int32), np.array([y], dtype=np.int32)
    for measure in (overlap, rank_biased_overlap):
        assert measure(a, b, k) == pytest.approx(measure(b, a, k))
        assert measure(a, a, k) == pytest.approx(1)
        assert measure(a, a + 10, k) == 0


def test_many_lists_are_compared_in_parts() -> None:
    rng = np.random.default_rng(0)
    a, b = (np.argsort(rng.random((30, 2000)), axis=1).astype(np.int32) for _ in range(2))
    expected = [len(set(x) & set(y)) / 1000 for x, y in zip(a[:, :1000], b[:, :1000], strict=True)]
    np.testing.assert_allclose(overlap(a, b, 1000), expected)


def test_the_transfer_ratio_is_a_share_of_the_lead() -> None:
    found = transfer_ratio(0.28, 0.2, 0.3)
    assert found.ratio == pytest.approx(0.8)
    assert found.explanation.startswith("80% of the teacher's lead arrived")


def test_without_a_lead_there_is_no_ratio() -> None:
    found = transfer_ratio(0.3, 0.2, 0.2)
    assert found.ratio is None
    assert "is not better than the student alone" in found.explanation


def test_a_missing_value_gives_no_ratio() -> None:
    assert transfer_ratio(float("nan"), 0.2, 0.3).ratio is None
