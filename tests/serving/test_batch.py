"""Tables in, tables out: the same lists as one by one, whatever interrupts."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from recdistill.compression import write_bundle
from recdistill.errors import DataError
from recdistill.models.mf import MF
from recdistill.serving import Bundle, Category, Diversity, batch, recommend_batch
from tests.synthetic import tiny_split

SPLIT = tiny_split(n_users=50, n_items=60)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = MF(dim=8).build(SPLIT, seed=3)
    written: Path = write_bundle(model, SPLIT.dataset, tmp_path_factory.mktemp("b") / "bundle", users=True)
    return written


def lists(target: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(target).to_pylist()
    return rows


def test_rows_are_answered_as_one_by_one(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recdistill.serving.batch._ROWS", 16)
    bundle = Bundle.open(path)
    users = [f"u{at}" for at in range(50)] + ["nobody", None]
    histories: list[Any] = [[f"i{at}", "unknown"] for at in range(50)] + [[], None]
    table = pa.table({"user": users, "history": pa.array(histories, pa.list_(pa.string())), "age": [1] * 52})
    parquet.write_table(table, tmp_path / "in.parquet", row_group_size=7)
    settings: dict[str, Any] = {"where": Category("topic 1", "topic 2"), "diversity": Diversity(weight=0.2)}
    assert recommend_batch(bundle, tmp_path / "in.parquet", tmp_path / "out.parquet", n=4, **settings) == 52
    found = lists(tmp_path / "out.parquet")
    assert [row["user"] for row in found] == users
    for at in (0, 15, 16, 49, 50, 51):
        history = [item for item in histories[at] or () if item != "unknown"]
        expected = bundle.recommend(history, 4, user=users[at], **settings)
        assert found[at]["items"] == [one.item for one in expected]
        np.testing.assert_allclose(found[at]["scores"], [one.score for one in expected], rtol=1e-4, atol=1e-5)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.parquet", "out.parquet"]


@pytest.mark.parametrize("kind", ["strings", "numbers", "large"])
def test_histories_alone_in_any_type(path: Path, tmp_path: Path, kind: str) -> None:
    bundle = Bundle.open(path)
    frame = pl.DataFrame({"history": [["i1", "i2"], [], ["i3"]]})
    if kind == "numbers":
        frame = pl.DataFrame({"history": [[1, 2], [], [3]]}, schema={"history": pl.List(pl.Int64)})
    frame.write_parquet(tmp_path / "in.parquet", use_pyarrow=kind != "large")
    recommend_batch(bundle, tmp_path / "in.parquet", tmp_path / "out.parquet", n=3, threads=1)
    found = lists(tmp_path / "out.parquet")
    assert [row["row"] for row in found] == [0, 1, 2]
    expected = bundle.recommend(["i1", "i2"] if kind != "numbers" else [], 3)
    assert found[0]["items"] == [one.item for one in expected]


def test_users_alone_and_nobody_at_all(path: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(path)
    parquet.write_table(pa.table({"user": ["u3", "x"]}), tmp_path / "in.parquet")
    recommend_batch(bundle, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert lists(tmp_path / "out.parquet")[0]["items"] == [one.item for one in bundle.recommend(user="u3")]
    parquet.write_table(pa.table({"user": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    assert recommend_batch(bundle, tmp_path / "none.parquet", tmp_path / "none_out.parquet") == 0
    assert parquet.read_table(tmp_path / "none_out.parquet").schema.names == ["user", "items", "scores"]


def test_unknown_events_are_counted(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    parquet.write_table(pa.table({"history": [["i1", "a"], ["b", "b"]]}), tmp_path / "in.parquet")
    with caplog.at_level(logging.WARNING, logger="recdistill"):
        recommend_batch(Bundle.open(path), tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert "events with items outside the catalogue, which were left out: 3" in caplog.text
    assert "rows without a known user or item, which got what is popular: 1" in caplog.text


def test_rows_that_tell_nothing_are_counted(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = {"user": ["u1", "stranger", None, "x"], "history": [[], [], None, ["i1"]]}
    parquet.write_table(pa.table(rows), tmp_path / "in.parquet")
    with caplog.at_level(logging.WARNING, logger="recdistill"):
        recommend_batch(Bundle.open(path), tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert "which got what is popular: 2" in caplog.text
    assert "outside the catalogue" not in caplog.text


def test_a_table_is_never_replaced_by_its_own_lists(path: Path, tmp_path: Path) -> None:
    table = pa.table({"user": ["u1"]})
    parquet.write_table(table, tmp_path / "in.parquet")
    (tmp_path / "same.parquet").symlink_to(tmp_path / "in.parquet")
    with pytest.raises(DataError, match="would take the place of this table"):
        recommend_batch(Bundle.open(path), tmp_path / "in.parquet", tmp_path / "same.parquet")
    assert parquet.read_table(tmp_path / "in.parquet") == table
    with pytest.raises(DataError, match=r"no such file; did you mean 'in.parquet'"):
        recommend_batch(Bundle.open(path), tmp_path / "im.parquet", tmp_path / "out.parquet")
    with pytest.raises(DataError, match="is a folder"):
        recommend_batch(Bundle.open(path), tmp_path, tmp_path / "out.parquet")


def test_other_settings_begin_again(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.open(path)
    parquet.write_table(pa.table({"user": ["u1", "u2", "u3"]}), tmp_path / "in.parquet")
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    whole = batch._join
    monkeypatch.setattr(batch, "_join", stop)
    with pytest.raises(KeyboardInterrupt):
        recommend_batch(bundle, source, target, n=2)
    assert not target.exists()
    part = tmp_path / ".out.parquet.parts" / "00000000.parquet"
    before = part.stat().st_mtime_ns
    with pytest.raises(KeyboardInterrupt):
        recommend_batch(bundle, source, target, n=2)
    assert part.stat().st_mtime_ns == before
    monkeypatch.setattr(batch, "_join", whole)
    recommend_batch(bundle, source, target, n=3)
    assert [len(row["items"]) for row in lists(target)] == [3, 3, 3]


@pytest.mark.parametrize(
    ("table", "match"),
    [
        (pa.table({"usr": ["a"]}), "has neither a column 'user' nor 'history' but usr"),
        (pa.table({"history": ["i1;i2"]}), "holds string in 'history', not lists"),
    ],
)
def test_other_tables_are_refused(path: Path, tmp_path: Path, table: Any, match: str) -> None:
    parquet.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(DataError, match=match):
        recommend_batch(Bundle.open(path), tmp_path / "in.parquet", tmp_path / "out.parquet")
    (tmp_path / "text.parquet").write_text("a,b")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        recommend_batch(Bundle.open(path), tmp_path / "text.parquet", tmp_path / "out.parquet")


def test_killed_and_started_again_it_gives_the_same(path: Path, tmp_path: Path) -> None:
    """The process is killed when some parts are there; the next one does only the rest."""
    users = [f"u{at % 60}" for at in range(3_000)]
    parquet.write_table(pa.table({"user": users}), tmp_path / "in.parquet")
    code = (
        "import os, signal, sys; from recdistill.serving import Bundle, batch, recommend_batch; batch._ROWS = 50\n"
        "write = batch._write\n"
        "def fatal(bundle, path, *rest):\n"
        "    if path.name == sys.argv[4]: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    write(bundle, path, *rest)\n"
        "batch._write = fatal\n"
        "recommend_batch(Bundle.open(sys.argv[1]), sys.argv[2], sys.argv[3], threads=1)"
    )
    arguments = [sys.executable, "-c", code, str(path), str(tmp_path / "in.parquet")]
    subprocess.run([*arguments, str(tmp_path / "whole.parquet"), "never"], check=True)
    killed = subprocess.run([*arguments, str(tmp_path / "out.parquet"), "00000007.parquet"], check=False)
    assert killed.returncode == -signal.SIGKILL
    parts = tmp_path / ".out.parquet.parts"
    done = [file.name for file in sorted(parts.glob("*.parquet"))]
    assert done == [f"{number:08}.parquet" for number in range(7)]
    assert not (tmp_path / "out.parquet").exists()
    # a process that does one of these again would be killed
    subprocess.run([*arguments, str(tmp_path / "out.parquet"), done[0]], check=True)
    assert parquet.read_table(tmp_path / "out.parquet").equals(parquet.read_table(tmp_path / "whole.parquet"))
    assert not parts.exists()
