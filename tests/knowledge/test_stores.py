from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recdistill.errors import KnowledgeError, RecdistillError
from recdistill.files import read_json, write_json
from recdistill.knowledge import EmbeddingsStore, RankingsStore, is_sealed

from .shared import embeddings_writer, rankings_store, rankings_writer, some_rankings


def test_rows_come_back_in_the_order_asked(tmp_path: Path) -> None:
    writer, known = rankings_writer(tmp_path / "r"), some_rankings()
    for rows in (np.arange(20, 30), np.arange(10)[::-1].copy(), np.arange(10, 20)):
        writer.add(rows, known.take(rows))
        writer.flush()
    store = writer.seal()
    rows = np.array([7, 29, 7, 0, 15])
    found = store.read(rows)
    np.testing.assert_array_equal(found.items, known.items[rows])
    np.testing.assert_allclose(found.logp, known.logp[rows], atol=0.03)
    np.testing.assert_allclose(found.tail, known.tail[rows], atol=0.02)
    assert len(store) == 30
    assert store.k == 5
    assert store.n_items == 50
    assert store.written.all()
    assert {file.name for file in (tmp_path / "r").iterdir()} == {"manifest.json", "shard-00000.arrow"}


def test_rows_never_written_are_no_answer(tmp_path: Path) -> None:
    writer = rankings_writer(tmp_path)
    writer.add(np.array([9, 3]), some_rankings(2))
    store = writer.seal(answers=2)
    assert store.manifest.extra == {"n_items": 50, "contexts": "events", "answers": 2}
    assert store.contexts == "events"
    found = store.read([3, 4])
    assert found.confidence.tolist() == [1, 0]
    assert (found.items[1] == -1).all()
    assert np.isneginf(found.logp[1]).all()
    assert np.isneginf(found.tail[1]).all()
    assert np.flatnonzero(store.written).tolist() == [3, 9]


def test_an_empty_store(tmp_path: Path) -> None:
    store = rankings_writer(tmp_path).seal()
    assert (store.read(np.arange(30)).items == -1).all()
    assert store.manifest.shards == ()


def test_several_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recdistill.knowledge.records._SHARD_BYTES", 200)
    store, known = rankings_store(tmp_path), some_rankings()
    assert len(store.manifest.shards) > 2
    rows = np.random.default_rng(0).integers(0, 30, 100)
    np.testing.assert_array_equal(store.read(rows).items, known.items[rows])


def test_parts_are_written_when_enough_has_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recdistill.knowledge.records._PART_BYTES", 1)
    writer = rankings_writer(tmp_path)
    writer.add(np.array([1]), some_rankings(1))
    assert (tmp_path / "part-00000.arrow").exists()


def test_killed_writer_goes_on(tmp_path: Path) -> None:
    script = (
        "import numpy as np, os, signal, sys; from pathlib import Path\n"
        "from tests.knowledge.shared import rankings_writer, some_rankings\n"
        "w = rankings_writer(Path(sys.argv[1])); r = some_rankings()\n"
        "w.add(np.arange(12), r.take(np.arange(12))); w.flush()\n"
        "w.add(np.arange(12, 20), r.take(np.arange(12, 20))); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(KnowledgeError, match="not sealed yet"):
        RankingsStore.open(tmp_path)
    (tmp_path / ".part-00001.arrow.x.part").write_bytes(b"half")
    (tmp_path / "part-00002.arrow").write_bytes(b"half")
    writer, known = rankings_writer(tmp_path), some_rankings()
    assert np.flatnonzero(writer.done).tolist() == list(range(12))
    rest = np.arange(12, 30)
    writer.add(rest, known.take(rest))
    np.testing.assert_array_equal(writer.seal().read(np.arange(30)).items, known.items)


def test_an_exception_keeps_what_was_added(tmp_path: Path) -> None:
    writer = rankings_writer(tmp_path)
    with contextlib.suppress(ZeroDivisionError), writer:
        writer.add(np.array([5]), some_rankings(1))
        raise ZeroDivisionError
    assert rankings_writer(tmp_path).done[5]


def test_a_seal_that_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = rankings_writer(tmp_path)
    writer.add(np.arange(30), some_rankings())

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("recdistill.knowledge.records.write_manifest", fail)
        with pytest.raises(KeyboardInterrupt):
            writer.seal()
    assert not is_sealed(tmp_path)
    again = rankings_writer(tmp_path)
    assert again.done.all()
    np.testing.assert_array_equal(again.seal().read([4]).items, some_rankings().items[[4]])


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    with rankings_writer(tmp_path) as writer:
        with pytest.raises(KnowledgeError, match="another process is writing here; wait for it"):
            rankings_writer(tmp_path)
        writer.add(np.arange(30), some_rankings())
    assert rankings_writer(tmp_path).done.all()
    assert writer.seal().written.all()


def test_shards_with_more_rows_than_the_store_are_refused(tmp_path: Path) -> None:
    rankings_store(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"rows": 29}))
    with pytest.raises(KnowledgeError, match="more rows than the store"):
        RankingsStore.open(tmp_path, verify=False)


def test_a_sealed_store_is_returned(tmp_path: Path) -> None:
    rankings_store(tmp_path)
    before = (tmp_path / "manifest.json").read_bytes()
    with rankings_writer(tmp_path) as writer:
        assert writer.done.all()
    assert len(writer.seal()) == 30
    assert (tmp_path / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "named"),
    [({"k": 4}, "width"), ({"teacher": "other"}, "teacher"), ({"split_fingerprint": "x"}, "dataset")],
)
@pytest.mark.parametrize("sealed", [True, False])
def test_a_store_of_other_parameters_is_refused(
    tmp_path: Path, change: dict[str, object], named: str, sealed: bool
) -> None:
    if sealed:
        rankings_store(tmp_path)
    else:
        rankings_writer(tmp_path)
    with pytest.raises(KnowledgeError, match=f"the store here has {named}"):
        rankings_writer(tmp_path, **change)


def test_other_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(KnowledgeError, match="not empty and not a knowledge store"):
        rankings_writer(tmp_path)


def test_wrong_rows(tmp_path: Path) -> None:
    writer = rankings_writer(tmp_path)
    writer.add(np.array([1]), some_rankings(1))
    for rows in ([1], [2, 2]):
        with pytest.raises(KnowledgeError, match="written twice"):
            writer.add(np.array(rows), some_rankings(len(rows)))
    with pytest.raises(KnowledgeError, match=r"there are 0\.\.29"):
        writer.add(np.array([30]), some_rankings(1))
    with pytest.raises(KnowledgeError, match="shape"):
        writer.add(np.array([3]), some_rankings(1, k=4))
    broken = some_rankings(1)
    broken.logp[0, 2] = np.nan
    with pytest.raises(KnowledgeError, match="not a number"):
        writer.add(np.array([3]), broken)
    with pytest.raises(KnowledgeError, match=r"rows -1\.\.2 are asked"):
        writer.seal().read([-1, 2])


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = rankings_writer(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer.add(np.arange(30), some_rankings())
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(RecdistillError, match="No space left"):
            writer.flush()
    assert len(writer.seal()) == 30


def test_flipped_truncated_and_missing_shards(tmp_path: Path) -> None:
    rankings_store(tmp_path)
    shard = tmp_path / "shard-00000.arrow"
    good = shard.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    for broken in (bytes(flipped), good[:-10]):
        shard.write_bytes(broken)
        with pytest.raises(KnowledgeError, match="truncated or altered"):
            RankingsStore.open(tmp_path)
    with pytest.raises(KnowledgeError, match="cannot be read"):
        RankingsStore.open(tmp_path, verify=False)
    shard.unlink()
    with pytest.raises(KnowledgeError, match="missing"):
        RankingsStore.open(tmp_path)


def test_other_data_kind_version_or_nonsense(tmp_path: Path) -> None:
    rankings_store(tmp_path)
    assert len(RankingsStore.open(tmp_path, "s0")) == 30
    with pytest.raises(KnowledgeError, match="another dataset"):
        RankingsStore.open(tmp_path, "s1")
    with pytest.raises(KnowledgeError, match="holds rankings, not embeddings"):
        EmbeddingsStore.open(tmp_path)
    with pytest.raises(KnowledgeError, match="no knowledge store is here"):
        RankingsStore.open(tmp_path / "nowhere")
    manifest = tmp_path / "manifest.json"
    good = read_json(manifest)
    for change, message in [
        ({"version": 99}, "upgrade"),
        ({"rows": -1}, "broken manifest"),
        ({"colour": 1}, "broken manifest"),
        ({"extra": {}}, "n_items"),
        ({"width": 6}, "cannot be read"),
        ({"shards": [{**good["shards"][0], "rows": 29}]}, "other rows"),
        ({"shards": [{**good["shards"][0], "file": "../x"}]}, "broken manifest"),
    ]:
        write_json(manifest, good | change)
        with pytest.raises(KnowledgeError, match=message):
            RankingsStore.open(tmp_path)
    for text in ("[]", "{", '{"version": "1"}'):
        manifest.write_text(text)
        with pytest.raises(KnowledgeError):
            RankingsStore.open(tmp_path)


def test_manifest_describes_itself(tmp_path: Path) -> None:
    rankings_store(tmp_path, prompt_hash="p")
    described = json.loads((tmp_path / "manifest.json").read_text())
    assert described["kind"] == "rankings"
    assert described["keyed_by"] == "position"
    assert described["prompt_hash"] == "p"
    assert described["dtype"] == "uint8"
    assert described["meaning"] == "log-probability"
    assert len(described["shards"][0]["sha256"]) == 64


@pytest.mark.parametrize(("dtype", "error"), [("float16", 2**-11), ("int8", 1 / 250)])
def test_embeddings(tmp_path: Path, dtype: str, error: float) -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32) * 10
    vectors[2] = 0
    writer = embeddings_writer(tmp_path, dtype=dtype)
    writer.add(np.arange(1, 6), vectors[1:])
    store = writer.seal(empty=1)
    vectors[0] = 0
    assert store.dim == 4
    found = store.all()
    assert found.dtype == np.float32
    assert (np.abs(found - vectors) <= error * np.abs(vectors).max(axis=1, keepdims=True)).all()
    assert (found[[0, 2]] == 0).all()
    np.testing.assert_array_equal(store.read([5, 1]), found[[5, 1]])


def test_bad_embeddings(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="stored as 'int4'"):
        embeddings_writer(tmp_path, dtype="int4")
    writer = embeddings_writer(tmp_path)
    with pytest.raises(KnowledgeError, match="shape"):
        writer.add(np.array([0]), np.zeros((1, 3)))
    with pytest.raises(KnowledgeError, match="not finite"):
        writer.add(np.array([0]), np.full((1, 4), np.nan))
