"""Files are whole or not there, whatever happens in between."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from recdistill.errors import DataError, RecdistillError
from recdistill.files import atomic_directory, atomic_path, checksum, read_json, write_json, write_text

FULL = """
import resource, sys
from recdistill.errors import RecdistillError
from recdistill.files import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_text(sys.argv[1], "x" * 100_000)
except RecdistillError as error:
    sys.exit(str(error))
"""


def test_write_and_read(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", {"b": [1, "ü🎬"]})
    assert read_json(tmp_path / "deep" / "a.json") == {"b": [1, "ü🎬"]}
    assert (
        checksum(tmp_path / "deep" / "a.json")
        == hashlib.sha256((tmp_path / "deep" / "a.json").read_bytes()).hexdigest()
    )
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["a.json"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a") as part:
        part.write_text(f"new {1 / 0}")
    assert (tmp_path / "a").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_no_space_left_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    run = subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "a")], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.strip().startswith(f"{tmp_path / 'a'}: cannot write (File too large)")
    assert "\n" not in run.stderr.strip()
    assert (tmp_path / "a").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


SAVERS = """
from pathlib import Path
import resource, sys
import numpy as np
import polars as pl
import shutil, torch
from recdistill.data.store import save_split
from recdistill.errors import RecdistillError
from recdistill.files import append_line, atomic_directory, atomic_path
from recdistill.knowledge import WeightsStore
from recdistill.models import EASE
from recdistill.testing import tiny_split
from recdistill.training.checkpoint import save_checkpoint

here = Path(sys.argv[1])
split = tiny_split(n_users=90, n_items=90)
model, net = EASE().build(split), torch.nn.Linear(90, 90)
optimiser = torch.optim.AdamW(net.parameters())
(here / "tree").mkdir()
(here / "tree" / "file").write_bytes(bytes(9000))

def weights():
    WeightsStore.write(here / "weights", "t", "f", "d", {"a": np.zeros(9000)})

def table():
    with atomic_path(here / "table") as part:
        pl.DataFrame({"a": np.random.default_rng(0).random(9000)}).write_parquet(part)

def copy():
    with atomic_directory(here / "copy") as part:
        shutil.copytree(here / "tree", part, dirs_exist_ok=True)

jobs = {
    "model": lambda: model.save(here / "model"),
    "split": lambda: save_split(split, here / "split"),
    "weights": weights,
    "checkpoint.safetensors": lambda: save_checkpoint(here, {"net": net}, {"optimiser": optimiser}, {}, "", {}),
    "table": table,
    "copy": copy,
    "line": lambda: append_line(here / "line", "x" * 9000),
}
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for name, job in jobs.items():
    try:
        job()
    except RecdistillError as error:
        print(name, error, sep="\t")
"""


def test_a_full_disk_is_one_line_whoever_writes(tmp_path: Path) -> None:
    """Also where a library in Rust writes, whose errors are not OSError."""
    run = subprocess.run([sys.executable, "-c", SAVERS, str(tmp_path)], capture_output=True, text=True)
    said = dict(line.split("\t") for line in run.stdout.splitlines() if "\t" in line)
    assert not run.stderr
    names = ("model", "split", "weights", "checkpoint.safetensors", "table", "copy", "line")
    assert said.keys() == set(names)
    for name in names:
        assert said[name].startswith(f"{tmp_path / name}: cannot write (")
        assert "File too large" in said[name]
    assert {file.name for file in tmp_path.iterdir()} == {"tree", "line"}


def test_other_errors_of_a_block_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no number"), atomic_path(tmp_path / "a"):
        raise ValueError("no number (error 5)")
    with pytest.raises(DataError, match="mine"), atomic_directory(tmp_path / "a"):
        raise DataError("mine")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for atomic in (atomic_path, atomic_directory):
        said = pytest.raises(RecdistillError, match=r"cannot write \((Not a directory|File exists)")
        with said, atomic(tmp_path / "file" / "deep" / "a"):
            pass


def test_directories_are_replaced_as_a_whole(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with atomic_directory(tmp_path / "d") as part:
            (part / text).write_text(text)
    assert [file.name for file in (tmp_path / "d").iterdir()] == ["two"]
    with pytest.raises(ZeroDivisionError), atomic_directory(tmp_path / "d") as part:
        (part / "three").write_text(f"new {1 / 0}")
    assert [file.name for file in (tmp_path / "d").iterdir()] == ["two"]
    assert [file.name for file in tmp_path.iterdir()] == ["d"]


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecdistillError, match="cannot write"), atomic_directory(tmp_path / "d"):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"{", b"\xff", b""])
def test_broken_json_names_file_and_reason(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json: cannot be read as JSON"):
        read_json(tmp_path / "a.json", DataError)


def test_missing_json(tmp_path: Path) -> None:
    with pytest.raises(RecdistillError, match="no such file"):
        read_json(tmp_path / "a.json")
