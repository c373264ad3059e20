from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.errors import KnowledgeError
from recdistill.knowledge import Knowledge, Preferences, PreferencesWriter

N_ITEMS = 30


def writer(path: Path, rows: int = 8, pairs: int = 3, **changes: Any) -> PreferencesWriter:
    settings: dict[str, Any] = {"teacher": "llm", "teacher_fingerprint": "t", "split_fingerprint": "s"}
    settings |= {"rows": rows, "pairs": pairs, "n_items": N_ITEMS, "meaning": "log odds"}
    return PreferencesWriter(path, **(settings | changes))


def some(n: int, pairs: int = 3, seed: int = 0) -> Preferences:
    rng = np.random.default_rng(seed)
    better = rng.integers(0, N_ITEMS, (n, pairs), dtype=np.int32)
    worse = ((better + rng.integers(1, N_ITEMS, (n, pairs))) % N_ITEMS).astype(np.int32)
    margin, sure = rng.random((2, n, pairs), dtype=np.float32)
    return Preferences(better, worse, margin * 5, sure)


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 99))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, n: int, pairs: int, seed: int) -> None:
    known = some(n, pairs, seed)
    made = writer(tmp_path_factory.mktemp("p") / "store", n, pairs)
    made.add(np.arange(n)[::-1].copy(), known)
    found = made.seal().read(np.arange(n)[::-1])
    np.testing.assert_array_equal(found.better, known.better)
    np.testing.assert_array_equal(found.worse, known.worse)
    np.testing.assert_allclose(found.margin, known.margin, rtol=2**-10)
    np.testing.assert_allclose(found.confidence, known.confidence, rtol=2**-10, atol=1e-7)


def test_no_answer_and_rows_never_written(tmp_path: Path) -> None:
    made = writer(tmp_path)
    made.add(np.array([2]), Preferences.none(1, 3))
    store = made.seal(answered=0)
    assert store.manifest.extra == {"n_items": N_ITEMS, "answered": 0}
    for row in (2, 5):
        found = store.read([row])
        assert (found.better == -1).all()
        assert (found.worse == -1).all()
        assert not found.confidence.any()
    assert Knowledge.open(tmp_path).preferences("llm")[0].pairs == 3


def test_take_and_length() -> None:
    known = some(5)
    np.testing.assert_array_equal(known.take(np.array([3, 1])).better, known.better[[3, 1]])
    assert len(known.take(np.array([3, 1]))) == 2


def test_resumes_and_refuses_others(tmp_path: Path) -> None:
    with writer(tmp_path) as first:
        first.add(np.array([1]), some(1))
    assert writer(tmp_path).done.tolist() == [row == 1 for row in range(8)]
    with pytest.raises(KnowledgeError, match="width 3, wanted is 4"):
        writer(tmp_path, pairs=4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"worse": np.full((1, 3), N_ITEMS, dtype=np.int32)}, "outside the catalogue"),
        ({"worse": np.full((1, 3), -1, dtype=np.int32)}, "outside the catalogue"),
        ({"margin": np.full((1, 3), -1, dtype=np.float32)}, "negative or not a number"),
        ({"margin": np.full((1, 3), np.nan, dtype=np.float32)}, "negative or not a number"),
        ({"confidence": np.full((1, 3), 2, dtype=np.float32)}, "negative or not a number"),
        ({"margin": np.zeros((1, 2), dtype=np.float32)}, r"margin of shape \(1, 2\)"),
    ],
)
def test_what_is_no_pair_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(KnowledgeError, match=message):
        writer(tmp_path).add(np.array([0]), dataclasses.replace(some(1), **change))


def test_the_same_item_twice_is_refused(tmp_path: Path) -> None:
    pair = some(1)
    with pytest.raises(KnowledgeError, match="same item twice"):
        writer(tmp_path).add(np.array([0]), dataclasses.replace(pair, worse=pair.better))
