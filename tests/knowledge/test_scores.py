from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.errors import KnowledgeError
from recdistill.files import read_json, write_json
from recdistill.knowledge import Knowledge, Scores, ScoresWriter


def writer(path: Path, rows: int = 6, classes: int = 2, keys: tuple[str, ...] = ("position", "item")) -> ScoresWriter:
    names = [f"c{number}" for number in range(classes)]
    return ScoresWriter(
        path, teacher="llm", teacher_fingerprint="t", dataset_fingerprint="d", rows=rows, classes=names,
        meaning="logit", keyed_by="pair", keys=keys,
    )  # fmt: skip


def some(n: int, classes: int = 2, keys: int = 2, seed: int = 0) -> Scores:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)).astype(np.float32)
    return Scores(logits, rng.random(n, dtype=np.float32), rng.integers(0, 2**31 - 1, (n, keys)).astype(np.int32))


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 3), st.integers(0, 99))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, n: int, classes: int, keys: int, seed: int
) -> None:
    known = some(n, classes, keys, seed)
    made = writer(tmp_path_factory.mktemp("s") / "store", n, classes, tuple("abc"[:keys]))
    made.add(np.arange(n), known)
    store = made.seal()
    rows = np.arange(n)[::-1].copy()
    found, wanted = store.read(rows), known.take(rows)
    np.testing.assert_allclose(found.logits, wanted.logits, rtol=2**-10, atol=1e-4)
    np.testing.assert_allclose(found.confidence, wanted.confidence, rtol=2**-10, atol=1e-4)
    np.testing.assert_array_equal(found.keys, wanted.keys)
    assert store.keys == tuple("abc"[:keys])
    assert len(store.classes) == classes
    assert len(found) == n


def test_rows_never_written_have_no_confidence(tmp_path: Path) -> None:
    made = writer(tmp_path)
    made.add(np.array([4]), some(1))
    made.seal()
    store = Knowledge.open(tmp_path).scores("llm")[0]
    assert (store.read(np.arange(6)).confidence > 0).tolist() == [row == 4 for row in range(6)]


def test_other_shapes_and_numbers_are_refused(tmp_path: Path) -> None:
    made = writer(tmp_path)
    with pytest.raises(KnowledgeError, match=r"wanted are \(1, 2\) and \(1, 2\)"):
        made.add(np.array([0]), some(1, classes=3))
    infinite = some(1)
    infinite.logits[0, 0] = np.inf
    with pytest.raises(KnowledgeError, match="not finite"):
        made.add(np.array([0]), infinite)


@pytest.mark.parametrize("extra", [{}, {"classes": ["a"], "keys": []}, {"classes": "ab", "keys": []}])
def test_a_broken_manifest(tmp_path: Path, extra: dict[str, Any]) -> None:
    made = writer(tmp_path)
    made.add(np.arange(6), some(6))
    made.seal()
    write_json(tmp_path / "manifest.json", read_json(tmp_path / "manifest.json") | {"extra": extra})
    with pytest.raises(KnowledgeError, match="broken manifest"):
        Knowledge.open(tmp_path)
