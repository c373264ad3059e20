from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import recdistill.knowledge as room
from recdistill.errors import KnowledgeError
from recdistill.files import read_json, write_json
from recdistill.knowledge import Knowledge, WeightsStore

from .shared import embeddings_writer, rankings_store

TENSORS: dict[str, np.ndarray] = {
    "items": np.arange(6, dtype=np.float32).reshape(3, 2),
    "place": np.ones(2, dtype=np.float16),
}


@pytest.fixture
def taught(tmp_path: Path) -> Path:
    rankings_store(tmp_path / "big" / "rankings")
    embeddings_writer(tmp_path / "encoder").seal()
    WeightsStore.write(tmp_path / "big" / "weights", "big", "t0", "s0", TENSORS)
    return tmp_path


def test_everything_below_a_directory(taught: Path) -> None:
    knowledge = Knowledge.open(taught)
    assert len(knowledge) == 3
    assert knowledge.kinds() == ("embeddings", "rankings", "weights")
    assert knowledge.rankings("big")[0].manifest.teacher == "big"
    assert knowledge.rankings() == knowledge.rankings("big")
    assert len(knowledge.embeddings()) == 1
    assert knowledge.weights()[0].tensors()["items"].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_join_and_digest(taught: Path) -> None:
    a, b = Knowledge.open(taught / "big"), Knowledge.open(taught / "encoder")
    assert (a + b).kinds() == ("embeddings", "rankings", "weights")
    assert (a + b).digest() == (Knowledge.open(taught / "big") + b).digest()
    assert len({(a + b).digest(), a.digest(), b.digest(), Knowledge().digest()}) == 4


def test_what_is_absent_is_named(taught: Path) -> None:
    with pytest.raises(KnowledgeError, match=r"teacher called 'bog'; did you mean 'big'"):
        Knowledge.open(taught).rankings("bog")
    with pytest.raises(KnowledgeError, match=r"no teacher left rankings; there are: embeddings of items by 'encoder'"):
        Knowledge.open(taught / "encoder").rankings("big")
    with pytest.raises(KnowledgeError, match="no stores at all"):
        Knowledge().weights()
    (taught / "empty").mkdir()
    with pytest.raises(KnowledgeError, match="no sealed knowledge store"):
        Knowledge.open(taught / "empty")


def test_a_kind_of_a_later_version(taught: Path) -> None:
    file = taught / "encoder" / "manifest.json"
    write_json(file, read_json(file) | {"kind": "smells"})
    with pytest.raises(KnowledgeError, match="broken manifest: kind"):
        Knowledge.open(taught)


def test_weights_are_kept_and_guarded(taught: Path) -> None:
    place = taught / "big" / "weights"
    assert WeightsStore.write(place, "big", "t0", "s0", TENSORS).tensors()["place"].dtype == np.float16
    with pytest.raises(KnowledgeError, match="teacher_fingerprint"):
        WeightsStore.write(place, "big", "t1", "s0", TENSORS)
    with pytest.raises(KnowledgeError, match="another dataset"):
        WeightsStore.open(place, "s1")
    with pytest.raises(KnowledgeError, match="not empty"):
        WeightsStore.write(taught, "big", "t0", "s0", TENSORS)
    shard = place / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-3])
    with pytest.raises(KnowledgeError, match="truncated or altered"):
        WeightsStore.open(place)
    with pytest.raises(KnowledgeError, match="cannot be read"):
        WeightsStore.open(place, verify=False).tensors()


def test_names() -> None:
    for name in room.__all__:
        assert getattr(room, name) is not None
    with pytest.raises(AttributeError, match="colour"):
        room.colour  # noqa: B018


def test_reading_needs_no_torch(taught: Path) -> None:
    script = (
        "import sys; from recdistill.knowledge import Knowledge\n"
        "Knowledge.open(sys.argv[1]).rankings()[0].read([1])\n"
        "sys.exit(int('torch' in sys.modules or 'recdistill.teachers' in sys.modules))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(taught)], check=True)
