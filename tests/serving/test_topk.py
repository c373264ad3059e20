from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recdistill.serving.topk import floor_of, top_k

SCORES = st.one_of(st.floats(-3, 3, width=16), st.just(-np.inf))


@given(arrays(np.float32, st.integers(0, 2_000), elements=SCORES, fill=st.floats(-1, 1, width=16)), st.integers(0, 30))
def test_the_same_as_a_full_sort(scores: np.ndarray, k: int) -> None:
    order = np.argsort(-scores, kind="stable")
    expected = order[scores[order] > -np.inf][:k]
    np.testing.assert_array_equal(top_k(scores, k), expected)


def test_many_random_scores() -> None:
    random = np.random.default_rng(0)
    for n in (127, 128, 1_280, 10_001):
        scores = random.normal(size=n).astype(np.float32)
        for k in (10, 64, 65, 1000):
            np.testing.assert_array_equal(top_k(scores, k), np.argsort(-scores, kind="stable")[:k])
            assert (scores >= floor_of(scores, k)).sum() >= min(k, n)
        assert (scores >= floor_of(scores, 1000)).sum() < 1500 or n < 4_000
