"""Rating threshold, duplicates, k-core."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.data import Cleaning, read
from recdistill.data.cleaning import core

PLAYS = pl.DataFrame(
    {
        "user": ["a"] * 5,
        "item": ["x", "y", "x", "x", "y"],
        "time": [10**9 + t for t in (0, 1, 2, 2, 2)],
        "weight": [1.0, 2.0, 3.0, 3.0, 5.0],
    }
)


@pytest.mark.parametrize(
    ("policy", "items", "weights"),
    [
        ("keep-all", "xyxy", [1, 2, 3, 5]),
        ("keep-first", "xy", [1, 2]),
        ("keep-last", "xy", [3, 5]),
        ("sum-weight", "xy", [4, 7]),
    ],
)
def test_duplicates(
    policy: Literal["keep-all", "keep-first", "keep-last", "sum-weight"], items: str, weights: list[float]
) -> None:
    data = read(PLAYS, cleaning=Cleaning(duplicates=policy))
    assert "".join(data.items.ids[i] for i in data.log.items) == items
    assert data.log.weights is not None
    assert data.log.weights.tolist() == weights
    assert data.report["dropped"]["exact duplicate"] == 1


def test_sum_weight_counts_where_there_are_no_weights() -> None:
    data = read(PLAYS.drop("weight"), cleaning=Cleaning(duplicates="sum-weight", drop_exact=False))
    assert data.log.weights is not None
    assert data.log.weights.tolist() == [3, 2]
    assert data.report["dropped"] == {"repeated item (sum-weight)": 3}


def test_without_times_equal_rows_are_repeated_events() -> None:
    assert read(PLAYS.select("user", "item")).log.n_events == 5


def test_items_without_events() -> None:
    log = pl.DataFrame({"user": ["a", "b", "a"], "item": ["x", "x", "y"], "rating": [5, 5, 1]})
    items = pl.DataFrame({"item": ["z", "y", "x"], "title": ["Z", "Y", "X"]})
    assert read(log, items).items.ids == ["z", "y", "x"]
    assert read(log, items, cleaning=Cleaning(min_item_events=1)).items.titles == ["Y", "X"]
    assert read(log, cleaning=Cleaning(min_rating=2)).items.ids == ["x"]
    assert read(log, items, cleaning=Cleaning(min_rating=2, min_item_events=2)).items.ids == ["x"]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=60),
    st.integers(1, 4),
    st.integers(0, 4),
)
def test_core_is_the_largest_set_that_satisfies_both(pairs: list[tuple[int, int]], user: int, item: int) -> None:
    left = list(range(len(pairs)))
    while True:  # one event at a time, the slow and obvious way
        users, items = [pairs[e][0] for e in left], [pairs[e][1] for e in left]
        bad = [e for e in left if users.count(pairs[e][0]) < user or items.count(pairs[e][1]) < item]
        if not bad:
            break
        left.remove(bad[0])
    u, i = np.array(pairs, dtype=np.int32).T
    assert np.flatnonzero(core(u, i, user, item)).tolist() == left
