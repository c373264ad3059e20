"""A fading-history student and its bundle give the same scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from recdistill.compression import write_bundle
from recdistill.models.fism import FISM, FISMModel
from recdistill.serving import Bundle
from tests.synthetic import tiny_split


def test_bundle_scores_as_the_model_does_for_every_length_of_history(tmp_path: Path) -> None:
    split = tiny_split()
    model = FISM(dim=8, max_length=5).build(split, seed=3)
    assert isinstance(model, FISMModel)
    with torch.no_grad():
        model.fading.fill_(0.8)
        model.item_biases.normal_()
    write_bundle(model, split.dataset, tmp_path / "bundle", vectors="float32")
    bundle = Bundle.open(tmp_path / "bundle")
    assert bundle.manifest.kind == "fading"
    for length in range(1, 8):  # beyond max_length too
        contexts = split.test.take([0])
        history = np.resize(contexts.history[0], length)
        some = type(contexts)(contexts.users, type(contexts.history).from_lists([history.tolist()]), contexts.targets)
        np.testing.assert_allclose(bundle.score(some), model.eval().score(some), rtol=1e-4, atol=1e-5)
