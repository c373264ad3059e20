from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.errors import KnowledgeError
from recdistill.knowledge import Knowledge, TextsStore, TextsWriter, is_sealed


def writer(path: Path, rows: int = 5, **changes: Any) -> TextsWriter:
    settings: dict[str, Any] = {"teacher": "llm", "teacher_fingerprint": "t", "dataset_fingerprint": "c", "rows": rows}
    return TextsWriter(path, **(settings | changes))


@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))), min_size=1, max_size=20))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str | None]) -> None:
    made = writer(tmp_path_factory.mktemp("t") / "store", len(texts))
    made.add(range(len(texts)), texts, [0.0 if text is None else 0.5 for text in texts])
    store = made.seal()
    rows = np.arange(len(texts))[::-1]
    assert store.read(rows) == texts[::-1]
    assert store.confidence(rows).tolist() == [0.0 if text is None else 0.5 for text in texts[::-1]]


def test_rows_never_written(tmp_path: Path) -> None:
    made = writer(tmp_path, form="json", keyed_by="user")
    made.add([1, 3], ["{}", None], [1, 0])
    made.seal(answered=1)
    store = Knowledge.open(tmp_path).texts("llm")[0]
    assert store.read([3, 4, 1, 0]) == [None, None, "{}", None]
    assert store.confidence([0, 1]).tolist() == [0, 1]
    assert store.written.tolist() == [False, True, False, True, False]
    assert (store.manifest.dtype, store.manifest.keyed_by, store.manifest.extra) == ("json", "user", {"answered": 1})
    assert len(store) == 5
    with pytest.raises(KnowledgeError, match=r"rows 5\.\.5"):
        store.read([5])


def test_nothing_at_all(tmp_path: Path) -> None:
    store = writer(tmp_path).seal()
    assert store.read(np.arange(5)) == [None] * 5
    assert store.manifest.shards == ()


def test_several_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recdistill.knowledge.texts._SHARD_CHARACTERS", 10)
    made, texts = writer(tmp_path, 50), [f"text {row}" for row in range(50)]
    made.add(range(50), texts, [1.0] * 50)
    store = made.seal()
    assert len(store.manifest.shards) > 10
    rows = np.random.default_rng(0).integers(0, 50, 80)
    assert store.read(rows) == [texts[row] for row in rows]


def test_rows_go_up(tmp_path: Path) -> None:
    made = writer(tmp_path)
    made.add([2], ["b"], [1])
    for row in (2, 1, 5):
        with pytest.raises(KnowledgeError, match=f"row {row} after row 2 of 5"):
            made.add([row], ["a"], [1])


def test_what_was_interrupted_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recdistill.knowledge.texts._SHARD_CHARACTERS", 1)
    writer(tmp_path).add([0, 1], ["old", "older"], [1, 1])
    assert not is_sealed(tmp_path)
    made = writer(tmp_path)
    made.add([0], ["new"], [1])
    assert made.seal().read([0, 1]) == ["new", None]
    assert writer(tmp_path).seal().read([0]) == ["new"]
    with pytest.raises(KnowledgeError, match="keyed_by"):
        writer(tmp_path, keyed_by="user")


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with contextlib.suppress(ZeroDivisionError), writer(tmp_path / "s") as made:
        made.add([0], ["a"], [1])
        raise ZeroDivisionError
    assert not (tmp_path / "s").exists()
    with writer(tmp_path / "s") as made:
        made.add([0], ["a"], [1])
    assert made.seal().read([0]) == ["a"]


def test_other_files_and_broken_shards(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(KnowledgeError, match="not empty"):
        writer(tmp_path)
    made = writer(tmp_path / "s")
    made.add([0], ["a"], [1])
    store = made.seal()
    shard = store.path / "shard-00000.arrow"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-4])
    with pytest.raises(KnowledgeError, match="truncated or altered"):
        TextsStore.open(store.path)
    with pytest.raises(KnowledgeError, match="cannot be read"):
        TextsStore.open(store.path, verify=False)
    for batch, message in (
        (pa.record_batch({"row": pa.array([0])}), "cannot be read"),
        (pa.ipc.open_file(pa.BufferReader(whole)).get_batch(0).slice(0, 0), "other rows"),
    ):
        with pa.OSFile(str(shard), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as out:
            out.write_batch(batch)
        with pytest.raises(KnowledgeError, match=message):
            TextsStore.open(store.path, verify=False)
