"""The record of every epoch."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from recdistill.errors import MissingExtraError
from recdistill.training.log import EpochLog


def test_one_line_per_epoch(tmp_path: Path) -> None:
    file = tmp_path / "epochs.jsonl"
    file.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')  # the last epoch was not in the checkpoint
    log = EpochLog(tmp_path, [{"epoch": 1}], tensorboard=False)
    log.add({"epoch": 2, "loss": {"cross-entropy": 0.5}})
    log.close()
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert records == [{"epoch": 1}, {"epoch": 2, "loss": {"cross-entropy": 0.5}}]


def test_without_a_directory_nothing_is_written() -> None:
    log = EpochLog(None, [], tensorboard=True)
    log.add({"epoch": 1})
    log.close()


def test_tensorboard_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(MissingExtraError, match=r"recdistill\[track\]"):
        EpochLog(tmp_path, [], tensorboard=True)
