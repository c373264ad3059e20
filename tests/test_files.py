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
