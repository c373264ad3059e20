from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recdistill.compression import ServedModel, Storage, write_bundle
from recdistill.data.dataset import Split
from recdistill.models import HSTU, GRU4Rec, SASRec
from tests.compression.shared import shaken


@pytest.mark.parametrize("form", ["dynamic", "static"])
@pytest.mark.parametrize(
    "config", [SASRec(dim=32, max_length=8), HSTU(dim=32, max_length=8), GRU4Rec(dim=32, max_length=8)]
)
def test_an_encoder_in_8_bits_is_near_and_smaller(config: Any, form: Any, split: Split, tmp_path: Path) -> None:
    model = shaken(config.build(split), 0.1)
    handlers = list(logging.root.handlers)
    paths = {
        encoder: write_bundle(
            model, split.dataset, tmp_path / encoder, vectors=Storage(vectors="float32", encoder=encoder)
        )
        for encoder in ("float32", form)
    }
    scores = [ServedModel(path).score(split.test).ravel() for path in paths.values()]
    assert np.corrcoef(scores)[0, 1] > 0.98
    if config.name == "sasrec":
        sizes = [(path / "encoder.onnx").stat().st_size for path in paths.values()]
        assert sizes[1] < 0.6 * sizes[0]
        assert not np.array_equal(*scores)
    assert logging.root.handlers == handlers  # ONNX Runtime's advice is not ours to print
