"""A chain with a training that is long enough to be killed in it."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from recdistill.compression import Gate, Int8, Tune
from recdistill.compression.chain import Compressed, compress
from recdistill.models import SASRec
from recdistill.objectives import CrossEntropy
from recdistill.training import Training
from tests.synthetic import tiny_split


def long_chain(folder: Path) -> Compressed:
    """Rounds a small network and trains it on."""
    torch.set_num_threads(1)
    data = tiny_split(n_users=120, n_items=40)
    model = SASRec(dim=16, blocks=1, max_length=8).build(data, seed=1)
    training = Training(batch=128, checkpoint_seconds=0, warmup=5, device="cpu")
    steps, gate = [Int8(), Tune(epochs=25, lr=1e-3)], Gate(max_drop=0.9, max_tail_drop=0.9, min_overlap=0)
    return compress(
        model, data, steps=steps, gate=gate, objectives=[CrossEntropy()], training=training, directory=folder
    )


if __name__ == "__main__":
    long_chain(Path(sys.argv[1]))
