from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from recdistill.errors import ConfigError, DataError, KnowledgeError
from recdistill.knowledge import Knowledge
from recdistill.models import MF
from recdistill.objectives import SoftLabels
from recdistill.teachers import Imported
from recdistill.testing import tiny_split
from recdistill.training import fit

SPLIT = tiny_split(n_users=6, n_items=12)
ITEMS = SPLIT.dataset.items


def _csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_lists_by_user_count_at_each_of_the_users_positions(tmp_path: Path) -> None:
    file = _csv(tmp_path / "p.csv", "user,item,score\nu1,i3,2.0\nu1,i5,3.0\nu0,i2,1.0\n")
    store = Imported(predictions=file).label(SPLIT, tmp_path / "s", teacher="gpt")
    found = store.read(np.arange(len(store)))
    row = SPLIT.train.row_of_position(np.arange(len(store)))
    assert set(map(tuple, found.items[row == 1].tolist())) == {(5, 3)}
    assert set(map(tuple, found.items[row == 0].tolist())) == {(2, -1)}
    assert (found.confidence == (row < 2)).all()
    np.testing.assert_allclose(found.logp[row == 1][0], np.log(0.9) + np.array([-0.3133, -1.3133]), atol=0.02)
    np.testing.assert_allclose(np.exp(found.tail[row == 1][0, 0]), 0.1, atol=1e-3)
    np.testing.assert_allclose(found.tail_at(2.0, 12)[row == 1][0], np.log(10 * (0.1 / 10) ** 0.5), atol=0.01)
    assert store.manifest.teacher == "gpt"
    assert store.manifest.extra["answers"] == (row < 2).sum()


def test_lists_by_step(tmp_path: Path) -> None:
    frame = pl.DataFrame({"who": ["u2", "u2"], "at": [1, 2], "what": ["i1", "i4"], "p": [0.5, 0.25]})
    frame.write_parquet(tmp_path / "p.parquet")
    columns: dict[Any, str] = {"user": "who", "item": "what", "score": "p", "step": "at"}
    teacher = Imported(predictions=tmp_path / "p.parquet", columns=columns, scores="probability")
    store = teacher.label(SPLIT, tmp_path / "s")
    start = int(SPLIT.train.offsets[2])
    found = store.read([start, start + 1, start + 2])
    assert found.items[:, 0].tolist() == [-1, 1, 4]
    np.testing.assert_allclose(np.exp(found.logp[1:, 0]), [0.5, 0.25], atol=1e-3)
    np.testing.assert_allclose(np.exp(found.tail[1:, 0]), [0.5, 0.75], atol=1e-3)


@pytest.mark.parametrize(("steps", "contexts"), [([0, 1], "events"), ([1, -1], "all"), ([-1], "ends"), ([None], "all")])
def test_what_the_lists_are_for(tmp_path: Path, steps: list[int | None], contexts: str) -> None:
    """A student that knows users only reads the ends of histories: it must be told if there is no list for them."""
    end = int(SPLIT.train.lengths[2])
    rows = ["user,item,score,step", *(f"u2,i{n},1,{end if step == -1 else step}" for n, step in enumerate(steps))]
    text = "\n".join(row.rpartition(",")[0] if steps == [None] else row for row in rows)
    teacher = Imported(predictions=_csv(tmp_path / "p.csv", text + "\n"))
    assert teacher.label(SPLIT, tmp_path / "s").contexts == contexts
    if contexts == "events":
        known = Knowledge.open(tmp_path / "s")
        with pytest.raises(KnowledgeError, match="ranked at single events, and mf knows users only"):
            fit(MF(dim=2), SPLIT, [SoftLabels()], knowledge=known)


def test_no_list_of_a_known_user_is_an_empty_store(tmp_path: Path) -> None:
    file = _csv(tmp_path / "p.csv", "user,item,score\nu77,i1,1\n")
    assert Imported(predictions=file, unknown="skip").label(SPLIT, tmp_path / "s").contexts == "all"


def test_impossible_items_are_not_listed(tmp_path: Path) -> None:
    file = _csv(tmp_path / "p.csv", "user,item,score\nu0,i2,0\nu0,i3,1\n")
    found = Imported(predictions=file, scores="probability").label(SPLIT, tmp_path / "s").read([0])
    assert found.items.tolist() == [[3, -1]]


@pytest.mark.parametrize("extra", ["", ",rank"])
def test_order_alone(tmp_path: Path, extra: str) -> None:
    lines = [f"u0,{item}{f',{rank}' if extra else ''}" for item, rank in (("i7", 1), ("i1", 2), ("i3", 3))]
    file = _csv(tmp_path / "p.tsv", "\n".join([f"user,item{extra}", *lines]).replace(",", "\t"))
    found = Imported(predictions=file, scores="rank", rest=0.2).label(SPLIT, tmp_path / "s").read([0])
    assert found.items[0].tolist() == [7, 1, 3]
    np.testing.assert_allclose(np.exp(found.logp[0]), 0.8 * np.array([6, 3, 2]) / 11, atol=0.01)


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("user,item,score\nu0,i99,1\n", {}, r"item 'i99' is not in the data"),
        ("user,item,score\nnobody,i9,1\nx,i9,1\n", {}, r"user 'nobody' \(and 1 others\) is not in the data"),
        ("user,item,score\nu0,i9,high\n", {}, "score is missing or not a number"),
        ("user,thing,score\nu0,i9,1\n", {}, "no column 'item'"),
        ("user,item\nu0,i9\n", {}, "no column 'score'"),
        ("user,item,score,step\nu0,i9,1,99\n", {}, "step 99 of user 'u0'"),
        ("user,item,score,step\nu0,i9,1,x\n", {}, "step None of user 'u0'"),
        ("user,item,score\nu0,i9,0.7\nu0,i8,0.7\n", {"scores": "probability"}, "sum to more than 1"),
        ("user,item,score\nu0,i9,1\n", {"columns": {"step": "time"}}, "no column 'time'"),
    ],
)
def test_bad_predictions(tmp_path: Path, text: str, settings: dict[str, Any], message: str) -> None:
    file = _csv(tmp_path / "p.csv", text)
    with pytest.raises(DataError, match=message):
        Imported(predictions=file, **settings).label(SPLIT, tmp_path / "s")


def test_unknown_ids_can_be_skipped(tmp_path: Path) -> None:
    file = _csv(tmp_path / "p.csv", "user,item,score\nu0,i99,1\nu0,i9,1\nu77,i1,1\n")
    store = Imported(predictions=file, unknown="skip").label(SPLIT, tmp_path / "s")
    assert store.read([0]).items.tolist() == [[9]]


def test_nothing_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to import"):
        Imported()
    with pytest.raises(DataError, match="no such file"):
        Imported(predictions=tmp_path / "p.csv").label(SPLIT, tmp_path / "s")
    with pytest.raises(DataError, match="no such file"):
        Imported(embeddings=tmp_path / "p.npy").embed_items(ITEMS, tmp_path / "s")
    with pytest.raises(ConfigError, match="no embeddings"):
        Imported(predictions=tmp_path / "p.csv").embed_items(ITEMS, tmp_path / "s")
    with pytest.raises(ConfigError, match="no predictions"):
        Imported(embeddings=tmp_path / "p.csv").label(SPLIT, tmp_path / "s")


VECTORS = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


def _files(folder: Path) -> dict[str, Imported]:
    np.save(folder / "v.npy", VECTORS)
    save_file({"v": VECTORS}, folder / "one.safetensors")
    save_file({"v": VECTORS[::-1].copy(), "w": VECTORS}, folder / "two.safetensors")
    _csv(folder / "ids.txt", "\n".join(reversed(list(ITEMS.ids))) + "\n")
    numbers = pl.DataFrame({"item": list(ITEMS.ids)} | {f"x{i}": VECTORS[:, i] for i in range(3)})
    numbers.write_csv(folder / "v.csv")
    pl.DataFrame({"item": list(ITEMS.ids), "v": VECTORS.tolist()}).write_parquet(folder / "v.parquet")
    array = pl.Series("v", VECTORS, dtype=pl.Array(pl.Float32, 3))
    pl.DataFrame({"item": list(ITEMS.ids), "v": array}).write_parquet(folder / "a.parquet")
    two: dict[str, Any] = {"embeddings": folder / "two.safetensors", "ids": folder / "ids.txt"}
    return {
        "npy": Imported(embeddings=folder / "v.npy"),
        "safetensors": Imported(embeddings=folder / "one.safetensors"),
        "safetensors and ids": Imported(tensor="v", **two),
        "csv": Imported(embeddings=folder / "v.csv"),
        "parquet": Imported(embeddings=folder / "v.parquet"),
        "parquet of arrays": Imported(embeddings=folder / "a.parquet"),
    }


def test_embeddings_from_every_kind_of_file(tmp_path: Path) -> None:
    for name, teacher in _files(tmp_path).items():
        store = teacher.embed_items(ITEMS, tmp_path / f"store {name}")
        np.testing.assert_allclose(store.all(), VECTORS, atol=2e-3, err_msg=name)
        assert teacher.embed_items(ITEMS, tmp_path / f"store {name}").manifest == store.manifest


def test_items_without_a_vector(tmp_path: Path) -> None:
    file = _csv(tmp_path / "v.csv", "item,a,b\ni3,1,2\ni0,3,4\n")
    store = Imported(embeddings=file).embed_items(ITEMS, tmp_path / "s")
    assert np.flatnonzero(store.written).tolist() == [0, 3]
    assert store.read([0, 1, 3]).tolist() == [[3, 4], [0, 0], [1, 2]]


def test_bad_embeddings(tmp_path: Path) -> None:
    files = _files(tmp_path)
    np.save(tmp_path / "short.npy", VECTORS[:5])
    np.save(tmp_path / "flat.npy", VECTORS[0])
    (tmp_path / "broken.npy").write_bytes(b"x")
    (tmp_path / "broken.safetensors").write_bytes(b"x")
    pl.DataFrame({"item": ["i0", "i1"], "v": [[1.0], [1.0, 2.0]]}).write_parquet(tmp_path / "ragged.parquet")
    for name, message in {
        "short.npy": "has 5 rows, the catalogue has 12 ids",
        "flat.npy": "wanted is a matrix",
        "broken.npy": "is not an .npy matrix",
        "broken.safetensors": "is not a safetensors file",
        "two.safetensors": "set tensor= to one of: v, w",
        "ragged.parquet": "several widths",
    }.items():
        with pytest.raises(DataError, match=message):
            Imported(embeddings=tmp_path / name).embed_items(ITEMS, tmp_path / "s")
    for text, message in {
        "item,a\ni0,1\ni0,2\n": "two vectors",
        "item,a\ni0,word\n": "not a number",
        "thing,a\ni0,1\n": "no column 'item'",
        "item,a\nzzz,1\n": "item 'zzz' is not in the data",
    }.items():
        with pytest.raises(DataError, match=message):
            Imported(embeddings=_csv(tmp_path / "bad.csv", text)).embed_items(ITEMS, tmp_path / "s")
    assert files["npy"].fingerprint() != files["csv"].fingerprint()


def test_teach_writes_all_there_is(tmp_path: Path) -> None:
    predictions = _csv(tmp_path / "p.csv", "user,item,score\nu0,i2,1.0\n")
    embeddings = _csv(tmp_path / "v.csv", "item,a,b\ni3,1,2\n")
    facts = Imported(predictions=predictions, embeddings=embeddings).teach(SPLIT, tmp_path / "out", "mine")
    assert facts["items"] == 1
    assert facts["dim"] == 2
    assert facts["k"] == 1
    knowledge = Knowledge.open(tmp_path / "out")
    assert knowledge.kinds() == ("embeddings", "rankings")
    assert knowledge.rankings("mine")
