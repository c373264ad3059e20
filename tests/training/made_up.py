"""A split whose items follow each other, and a teacher who knows which."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recdistill.data.dataset import Split
from recdistill.knowledge import EmbeddingsWriter, Knowledge, RankingsWriter, WeightsStore, rankings_of
from recdistill.models import SASRec
from recdistill.objectives import CrossEntropy, EmbeddingHint, SoftLabels
from recdistill.training import Fitted, MeanTeacher, OnPolicy, Peer, Training, fit
from tests.synthetic import tiny_split

STUDENT = SASRec(dim=16, blocks=1, heads=1, max_length=10, dropout=0.1)
FAST: dict[str, Any] = {"batch": 128, "lr": 5e-3, "warmup": 5, "patience": 100, "device": "cpu", "seed": 3}
MIX = (CrossEntropy(weight=0.5), SoftLabels(weight=0.5), EmbeddingHint(weight=0.1, items=16, dim=8))


def split() -> Split:
    return tiny_split(n_users=120, n_items=30, cold=0)


def chain(n_items: int) -> npt.NDArray[np.float32]:
    """Scores of what follows each item: the next one most, then those after it."""
    steps = (np.arange(n_items) - np.arange(n_items)[:, None] - 1) % n_items
    return np.asarray(-np.minimum(steps, n_items - steps), dtype=np.float32)


def knowledge(data: Split, path: Path) -> Knowledge:
    """Rankings, embeddings and weights by a teacher called ``oracle``."""
    n, items = data.train.n_events, data.n_items
    common: dict[str, Any] = {"teacher": "oracle", "teacher_fingerprint": "-", "meaning": "-"}
    rankings = RankingsWriter(
        path / "rankings", split_fingerprint=data.fingerprint, rows=n, k=5, n_items=items, **common
    )
    before = data.train.items[np.maximum(np.arange(n) - 1, 0)]
    rankings.add(np.arange(n), rankings_of(chain(items)[before], 5))
    fingerprint = data.dataset.items.fingerprint
    embeddings = EmbeddingsWriter(path / "embeddings", dataset_fingerprint=fingerprint, rows=items, dim=12, **common)
    vectors = np.random.default_rng(0).standard_normal((items, 12)).astype(np.float32)
    embeddings.add(np.arange(items), vectors)
    WeightsStore.write(path / "weights", "oracle", "-", data.fingerprint, {"items": vectors})
    rankings.seal()
    embeddings.seal()
    return Knowledge.open(path)


def live_training(folder: Path | str | None, epochs: int) -> Fitted:
    """Train with every live teacher that ranks at each step."""
    terms = [CrossEntropy(), SoftLabels(teacher="self", weight=0.5), SoftLabels(teacher="big", temperature=1.0)]
    live = [MeanTeacher(id="self", momentum=0.9), Peer(id="big", model=STUDENT.replace(dim=24))]
    training = Training(epochs=epochs, checkpoint_seconds=0, **FAST)
    return fit(STUDENT, split(), terms, live=live, training=training, directory=folder)


def on_policy_training(folder: Path | str | None, epochs: int) -> Fitted:
    """Train with a teacher that is asked every other epoch."""
    data = split()
    terms = [CrossEntropy(), SoftLabels(teacher="asked", temperature=1.0)]
    live = [OnPolicy(id="asked", of="big", every=2, after=1, k=6, pick="draw")]
    training = Training(epochs=epochs, checkpoint_seconds=0, **FAST)
    models = {"big": STUDENT.replace(dim=24).build(data, seed=1)}
    return fit(STUDENT, data, terms, live=live, models=models, training=training, directory=folder)


def main(folder: Path) -> None:
    """Train until killed."""
    data = split()
    training = Training(epochs=10_000, checkpoint_seconds=0, **FAST)
    fit(STUDENT, data, MIX, knowledge=knowledge(data, folder / "taught"), training=training, directory=folder / "run")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
