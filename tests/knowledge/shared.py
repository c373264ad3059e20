"""Rankings and stores that the tests of this room share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recdistill.knowledge import EmbeddingsWriter, Rankings, RankingsStore, RankingsWriter, rankings_of


def some_rankings(n: int = 30, k: int = 5, n_items: int = 50, seed: int = 0) -> Rankings:
    """Rankings of random scores."""
    scores = np.random.default_rng(seed).normal(size=(n, n_items)).astype(np.float32) * 3
    return rankings_of(scores, k)


def rankings_writer(path: Path, **changes: Any) -> RankingsWriter:
    """A writer for 30 rows of 5 out of 50 items."""
    settings: dict[str, Any] = {
        "teacher": "big", "teacher_fingerprint": "t0", "split_fingerprint": "s0", "rows": 30, "k": 5, "n_items": 50,
        "meaning": "log-probability",
    }  # fmt: skip
    return RankingsWriter(path, **(settings | changes))


def rankings_store(path: Path, **changes: Any) -> RankingsStore:
    """A sealed store of :func:`some_rankings`."""
    writer = rankings_writer(path, **changes)
    writer.add(np.arange(30), some_rankings())
    return writer.seal()


def embeddings_writer(path: Path, **changes: Any) -> EmbeddingsWriter:
    """A writer for 6 vectors of width 4."""
    settings: dict[str, Any] = {
        "teacher": "encoder", "teacher_fingerprint": "t1", "dataset_fingerprint": "c0", "rows": 6, "dim": 4,
    }  # fmt: skip
    return EmbeddingsWriter(path, **(settings | changes))
