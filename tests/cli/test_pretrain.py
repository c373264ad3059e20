"""``recdistill pretrain``."""

from __future__ import annotations

import json
from pathlib import Path

from ..teachers.llm.test_local import write_chat_model
from .conftest import Invoke


def test_a_model_reads_the_films(call: Invoke, here: Path) -> None:
    write_chat_model(here / "tiny")
    given = ("pretrain", "films.yaml", "adapted", "--model", "tiny", "-p", "epochs=1", "-p", "rank=2")
    result = call(*given)
    assert result.exit_code == 0, result.stderr
    assert "causal language modelling" in result.stdout
    assert "parameters: {model: adapted}" in result.stdout
    found = json.loads(call(*given, "--json").stdout)
    assert found == json.loads((here / "adapted/pretraining.json").read_text())
    assert found["loss_after"] is not None


def test_bad_input_is_one_line(call: Invoke, here: Path) -> None:
    result = call("pretrain", "films.yaml", "adapted", "-p", "epoch=1")
    assert result.exit_code == 2
    assert "unknown parameter 'epoch' of pretraining; did you mean 'epochs'" in result.stderr
    result = call("pretrain", "films.yaml", "adapted", "--model", "no such folder")
    assert "no model folder 'no such folder'" in result.stderr
    assert result.stderr.count("\n") == 1
