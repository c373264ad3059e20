"""Users of two worlds that share no item, and two teachers, each of whom knows one of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recdistill.data.dataset import Catalogue, Contexts, Dataset, Split
from recdistill.data.sequences import Sequences
from recdistill.knowledge import Knowledge, RankingsWriter, rankings_of
from recdistill.objectives import CrossEntropy, SeveralTeachers
from recdistill.objectives.base import ObjectiveConfig
from recdistill.training import Training, fit
from tests.training.made_up import FAST, STUDENT

USERS, ITEMS = 80, 40


def two_worlds(seed: int = 0) -> tuple[Split, npt.NDArray[np.int64]]:
    """A split and each user's world: item ``i`` is followed by ``i + 1`` within the world, in nine of ten cases."""
    random = np.random.default_rng(seed)
    world = np.arange(USERS) % 2
    half = ITEMS // 2
    rows = []
    for user in range(USERS):
        row = [int(random.integers(half))]
        while len(row) < 10:
            row.append((row[-1] + 1) % half if random.random() < 0.9 else int(random.integers(half)))
        rows.append([item + half * int(world[user]) for item in row])
    log = Sequences.from_lists(rows)
    from_end = np.repeat(log.offsets[1:], log.lengths) - np.arange(log.n_events)
    users = np.arange(USERS, dtype=np.int32)
    train = log.keep(from_end > 2)
    valid, test = (Contexts(users, log.keep(from_end > n), log.keep(from_end == n)) for n in (2, 1))
    dataset = Dataset([f"u{u}" for u in users], Catalogue([f"i{i}" for i in range(ITEMS)]), log)
    return Split(dataset, train, valid, test, "leave-last-out"), world


def successor(item: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    half = ITEMS // 2
    return np.asarray(item // half * half + (item % half + 1) % half)


def teach(split: Split, path: Path, knows: dict[str, list[int]]) -> Knowledge:
    """Teachers that rank what comes next first in the worlds they know; elsewhere they are sure of something else."""
    train, random = split.train, np.random.default_rng(5)
    positions = np.flatnonzero(train.events_before(np.arange(train.n_positions)) > 0)
    end = train.offsets[np.maximum(positions - train.n_events, 0) + 1]
    last = np.where(positions < train.n_events, positions, end) - 1
    item = train.items[last].astype(np.int64)
    half = ITEMS // 2
    common: dict[str, Any] = {"teacher_fingerprint": "-", "split_fingerprint": split.fingerprint, "meaning": "-"}
    for name, worlds in knows.items():
        known = np.isin(item // half, worlds)
        first = np.where(known, successor(item), item // half * half + (item * 7 + 3) % half)
        scores = random.standard_normal((len(item), ITEMS)).astype(np.float32) * 0.1
        scores[np.arange(len(item)), first] += np.where(known, 5.0, 6.0)
        writer = RankingsWriter(
            path / name, teacher=name, rows=train.n_positions, k=10, n_items=ITEMS, contexts="all", **common
        )
        writer.add(positions, rankings_of(scores, 10))
        writer.seal()
    return Knowledge.open(path)


def mix(combine: str, teachers: tuple[str, ...], **more: Any) -> list[ObjectiveConfig]:
    """A little of the labels, much of the teachers."""
    term = SeveralTeachers(teachers=teachers, combine=combine, temperature=1.0, clusters=4, **more)
    return [CrossEntropy(weight=0.1), term]


def main(folder: Path) -> None:
    """Train with a bandit until killed."""
    split, _ = two_worlds()
    known = teach(split, folder / "taught", {"even": [0], "odd": [1]})
    training = Training(epochs=10_000, checkpoint_seconds=0, **FAST)
    terms = mix("bandit", ("even", "odd"))
    fit(STUDENT, split, terms, knowledge=known, training=training, directory=folder / "run")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
