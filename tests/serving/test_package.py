from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import recdistill.serving as room
import recdistill.serving.feedback as feedback
import recdistill.serving.http as server
from recdistill.compression import write_bundle
from recdistill.models.sasrec import SASRec
from tests.synthetic import tiny_split


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(callable(getattr(room, name)) for name in room.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = room.nothing


def test_a_server_needs_neither_torch_nor_tables(tmp_path: Path) -> None:
    split = tiny_split()
    write_bundle(SASRec(dim=8).build(split), split.dataset, tmp_path / "b")
    code = f"""
import sys
from pathlib import Path
from recdistill.serving.deployment import Home
from recdistill.serving.http import create_app
from recdistill.serving import Client

create_app(Home.of(Path({str(tmp_path / "b")!r})))
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "polars", "pyarrow", "pandas", "scipy", "transformers", "onnx"}


def test_every_public_name_of_the_server_is_there() -> None:
    assert all(callable(getattr(server, name)) for name in server.__all__)
    assert all(callable(getattr(feedback, name)) for name in feedback.__all__)
    for package in (server, feedback):
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            _ = package.nothing
