"""How far items and users have moved."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from recdistill.recipes.update.drift import drift
from recdistill.recipes.update.events import Feedback
from tests.synthetic import tiny_split

DATA = tiny_split(n_users=300, n_items=40).dataset


def fed(items: np.ndarray, users: np.ndarray | None = None) -> Feedback:
    n = len(items)
    whose = np.arange(n) % 5 if users is None else users
    types, unknown = Counter({"click": n}), Counter({"gone": 3, "away": 1})
    return Feedback(whose, items, np.zeros(n, dtype=np.int64), np.arange(1, n + 1), ("new",), n, types, unknown)


def test_divergence_is_that_of_scipy() -> None:
    items = np.random.default_rng(0).integers(0, 40, 500)
    counts = np.bincount(DATA.log.items, minlength=40)
    expected = jensenshannon(counts, np.bincount(items, minlength=40), base=2) ** 2
    assert drift(DATA, fed(items), 0)["items"]["divergence"] == pytest.approx(expected)


def test_the_same_items_have_not_moved_and_others_have() -> None:
    same = np.random.default_rng(1).choice(DATA.log.items, 400).astype(np.int64)
    found = drift(DATA, fed(same), 0)
    assert not found["items"]["moved"]
    assert not found["categories"]["moved"]
    assert 0.5 < found["items"]["divergence"] / found["items"]["expected"] < 2
    other = drift(DATA, fed(np.full(400, 39)), 0)
    assert other["items"]["moved"]
    assert other["categories"]["moved"]
    assert other["unknown_items"] == {"share": 4 / 400, "most": ["gone", "away"]}
    assert other["events"] == {"click": 400}


def test_only_what_is_new_counts() -> None:
    items = np.concatenate([np.full(100, 39), DATA.log.items[:100]]).astype(np.int64)
    users = np.concatenate([np.zeros(100), np.full(50, 300), np.arange(50)]).astype(np.int64)
    found = drift(DATA, fed(items, users), cursor=100)
    assert found["users"]["active"] == 51
    assert found["users"]["new"] == pytest.approx(1 / 51)
    assert found["users"]["events_each"] == pytest.approx(100 / 51)
    assert found["users"]["events_each_before"] == pytest.approx(DATA.log.lengths.mean())
    assert drift(DATA, fed(items, users), cursor=200)["items"] == {"divergence": 0, "expected": 0, "moved": False}


def test_what_a_dataset_does_not_know_is_left_out() -> None:
    plain = replace(DATA, items=replace(DATA.items, categories=None), log=DATA.log.without_extras())
    found = drift(plain, fed(np.zeros(10, dtype=np.int64)), 0)
    assert found["categories"] is None
    assert found["hours"] is None
    assert drift(DATA, fed(np.zeros(10, dtype=np.int64)), 0)["hours"] is not None
