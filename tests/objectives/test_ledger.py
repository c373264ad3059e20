"""The ledger against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.data.popular import head_items
from recdistill.objectives.ledger import Ledger, kinds_of_positions
from tests.synthetic import tiny_split


def test_means_over_slices() -> None:
    split = tiny_split()
    train, head = split.train, head_items(split.popularity)
    positions = np.arange(train.n_positions)
    before, labelled = train.events_before(positions), positions < train.n_events
    middle = int(np.median(before[labelled & (before > 0)]))
    of_head = np.where(labelled, head[train.items[np.minimum(positions, train.n_events - 1)]], False)
    masks = {
        "all": before >= 0, "short": before <= middle, "long": before > middle,
        "head": labelled & of_head, "tail": labelled & ~of_head,
    }  # fmt: skip
    ledger, random = Ledger(kinds_of_positions(split), torch.device("cpu")), np.random.default_rng(0)
    weight, listed = random.random((2, len(positions))).astype(np.float32)
    listed[~labelled] = 0
    for part in np.array_split(random.permutation(positions), 7):
        values = {"weight": torch.from_numpy(weight[part]), "listed": torch.from_numpy(listed[part])}
        ledger.add("large", torch.from_numpy(part), values)
    pages = ledger.close()
    assert list(pages) == ["large"]
    for name, mask in masks.items():
        page = pages["large"][name]
        assert page["positions"] == mask.sum() > 0
        assert page["weight"] == pytest.approx(weight[mask].mean())
        assert page["listed"] == pytest.approx(listed[mask & labelled].mean())
    assert ledger.close() == {}


def test_a_slice_that_nobody_met_has_no_means() -> None:
    split = tiny_split()
    ledger = Ledger(kinds_of_positions(split), torch.device("cpu"))
    ends = torch.arange(split.train.n_events, split.train.n_positions)
    ledger.add("large", ends, {"weight": torch.ones(len(ends)), "listed": torch.zeros(len(ends))})
    page = ledger.close()["large"]
    assert page["head"] == page["tail"] == {"positions": 0}
    assert page["all"] == page["ends"] == {"positions": len(ends), "weight": 1.0}
