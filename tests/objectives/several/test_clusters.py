"""Clusters of contexts, and the labels of ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recdistill.data.dataset import Contexts, Split
from recdistill.data.sequences import Sequences
from recdistill.errors import KnowledgeError
from recdistill.objectives.several import clusters as module
from recdistill.objectives.several.clusters import clusters_of_positions
from recdistill.objectives.several.held_out import HeldOut
from tests.synthetic import tiny_split

from .two_worlds import two_worlds


def test_worlds_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    split, world = two_worlds()
    found = clusters_of_positions(split, 2, seed=0)
    positions = np.arange(split.train.n_positions)
    some = split.train.events_before(positions) > 0
    same = found[some] == world[split.train.row_of_position(positions[some])]
    assert same.mean() in (0.0, 1.0)
    assert not found[~some].any()
    assert (found == clusters_of_positions(split, 2, seed=0)).all()
    monkeypatch.setattr(module, "_BLOCK", 7)  # rows one by one
    assert (found == clusters_of_positions(split, 2, seed=0)).all()


@pytest.mark.parametrize("n", [1, 5, 200])
def test_any_number_of_clusters(n: int) -> None:
    split = tiny_split(n_users=20)
    found = clusters_of_positions(split, n, seed=1)
    assert found.shape == (split.train.n_positions,)
    assert found.max() < n


def test_a_log_of_one_item() -> None:
    whole = tiny_split(n_users=4)
    train = Sequences.from_lists([[0, 0], [0], [], [0]])
    assert not clusters_of_positions(replace(whole, train=train), 3, seed=0).any()


def test_what_validation_users_did_next() -> None:
    split = tiny_split()
    held = HeldOut.of(split, torch.device("cpu"))
    labels = held.at(torch.arange(split.train.n_positions)).tolist()
    assert set(labels[: split.train.n_events]) == {-1}
    for row, user in enumerate(split.valid.users):
        target = int(split.valid.targets[row][0])
        repeated = target in split.valid.history[row].tolist()
        assert labels[split.train.n_events + user] == (-1 if repeated else target)


def test_no_validation_to_judge_by() -> None:
    split: Split = tiny_split()
    empty = Sequences.from_lists([[] for _ in range(len(split.valid))])
    with pytest.raises(KnowledgeError, match="no validation target to judge teachers by; use judge: labels"):
        HeldOut.of(replace(split, valid=Contexts(split.valid.users, split.valid.history, empty)), torch.device("cpu"))
