"""Contract tests for models of your own, and a small made-up dataset to run them on.

A model passes the contract by inheriting it (pytest collects the tests)::

    from recdistill.testing import ModelContract

    class TestMyModel(ModelContract):
        config = MyModel(dim=8)
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .data.dataset import Catalogue, Contexts, Dataset, Split
from .data.sequences import Sequences

if TYPE_CHECKING:
    from .knowledge import Knowledge
    from .models.base import ModelConfig, RankingModel

__all__ = ["ModelContract", "NeuralContract", "contexts_of", "tiny_split"]


def tiny_split(n_users: int = 60, n_items: int = 40, seed: int = 0, cold: int = 2) -> Split:
    """A split made of Markov-like sequences, so that a model that reads the history beats popularity.

    Item ``i`` is followed by ``i + 1`` in 7 of 10 cases and by an item drawn from a skewed popularity otherwise; 4 to 12
    events a user. The newest event of a user is the test target, the one before it the validation target. Items have
    texts and one of 5 categories; neighbours in the chain share their category. The last ``cold`` items are never in
    the training events, only among the test targets.

    Args:
        n_users: Number of users, at least 1.
        n_items: Catalogue size, more than ``cold``.
        seed: Equal seeds give equal splits.
        cold: Items without training events.
    """
    rng = np.random.default_rng(seed)
    warm = n_items - cold
    rows = [_walk(rng, int(rng.integers(4, 13)), warm) for _ in range(n_users)]
    for user in range(cold):
        rows[user % n_users][-1] = warm + user
    topics = [f"topic {i * 5 // n_items}" for i in range(n_items)]
    catalogue = Catalogue(
        ids=[f"i{i}" for i in range(n_items)],
        texts=[f"item number {i} about {topic}" for i, topic in enumerate(topics)],
        titles=[f"Item {i}" for i in range(n_items)],
        categories=[(topic,) for topic in topics],
    )
    log = _timed(rows)
    users = np.arange(n_users, dtype=np.int32)
    from_end = np.repeat(log.offsets[1:], log.lengths) - np.arange(log.n_events)
    train, valid = log.keep(from_end > 2), Contexts(users, log.keep(from_end > 2), log.keep(from_end == 2))
    test = Contexts(users, log.keep(from_end > 1), log.keep(from_end == 1))
    dataset = Dataset([f"u{u}" for u in range(n_users)], catalogue, log, name="tiny")
    return Split(dataset, train, valid, test, "leave-last-out")


def contexts_of(histories: list[list[int]], users: list[int] | None = None) -> Contexts:
    """Contexts without targets from lists of item indices; anonymous unless ``users`` are given."""
    index = np.full(len(histories), -1) if users is None else np.array(users)
    return Contexts(index.astype(np.int32), Sequences.from_lists(histories), Sequences.from_lists([[] for _ in histories]))


def _walk(rng: np.random.Generator, length: int, n_items: int) -> list[int]:
    row = [int(rng.integers(n_items))]
    while len(row) < length:
        follows = rng.random() < 0.7
        row.append((row[-1] + 1) % n_items if follows else int(n_items * rng.random() ** 2))
    return row


def _timed(rows: list[list[int]]) -> Sequences:
    plain = Sequences.from_lists(rows)
    day = 86_400_000
    start = np.repeat(np.arange(len(rows)) % 7, plain.lengths)
    times = (start + np.arange(plain.n_events) - np.repeat(plain.offsets[:-1], plain.lengths)) * day
    return Sequences(plain.offsets, plain.items, times=times.astype(np.int64))
