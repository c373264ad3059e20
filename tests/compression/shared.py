"""Networks with weights far from their initial ones, and what they score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from recdistill.compression import ServedModel, Storage, write_bundle
from recdistill.compression.candidate import Candidate, Workshop
from recdistill.data.dataset import Split
from recdistill.knowledge import EmbeddingsWriter, Knowledge
from recdistill.models.base import RankingModel
from recdistill.training import Training

WHOLE = Storage(vectors="float32")
QUICK = Training(epochs=2, batch=256, lr=3e-3, warmup=5, device="cpu")


def shaken(module: Any, scale: float = 0.3) -> Any:
    """Weights drawn anew, so that no part of a network is the identity by chance."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in module.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * scale)
    return module.eval()


def embeddings(split: Split, path: Path) -> Any:
    """A store of random item embeddings."""
    fingerprint = split.dataset.items.fingerprint
    writer = EmbeddingsWriter(
        path, teacher="reader", teacher_fingerprint="-", meaning="-", dataset_fingerprint=fingerprint,
        rows=split.n_items, dim=6,
    )  # fmt: skip
    writer.add(np.arange(split.n_items), np.random.default_rng(0).normal(size=(split.n_items, 6)).astype(np.float32))
    return writer.seal()


def workshop(split: Split, *, knowledge: Knowledge | None = None, objectives: tuple[Any, ...] = ()) -> Workshop:
    return Workshop(split, knowledge or Knowledge(()), objectives, QUICK)


def candidate(model: RankingModel) -> Candidate:
    return Candidate(model, WHOLE)


def assert_served_alike(model: RankingModel, split: Split, folder: Path) -> None:
    """The bundle of a model, in float32, scores as the model does."""
    served = ServedModel(write_bundle(model, split.dataset, folder / "bundle", vectors=WHOLE))
    expected = model.score(split.test)
    np.testing.assert_allclose(served.score(split.test), expected, atol=1e-4 * max(1.0, float(np.abs(expected).max())))
