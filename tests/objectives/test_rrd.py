"""Relaxed Ranking Distillation against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives import RRD

from .lists.made_up import N, confidence, listed, ready, scene, with_picks


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("k", [2, 20])
def test_formula(m: int, k: int) -> None:
    at = scene(m=m)
    got, found, z = with_picks(RRD(k=k, uninteresting=6, scale=3.0), at)
    for row in range(N):
        order = [item for item, _ in listed(at.targets, row)]
        interesting = found.items[row][found.ordered[row]].tolist()
        others = found.items[row][found.real[row] & ~found.ordered[row]].tolist()
        assert len(interesting) == min(k, len(order))
        assert interesting == [item for item in order if item in interesting]
        assert not set(others) & (set(order) | set(at.targets.labels[row].tolist()))
        losses = [
            np.log(np.exp(z[row, interesting[place:]]).sum() + np.exp(z[row, others]).sum()) - z[row, item]
            for place, item in enumerate(interesting)
        ]
        wanted = float(np.mean(losses)) if losses else 0.0
        assert float(got[row]) == pytest.approx(confidence(at.targets, row) * wanted, rel=1e-5)


def test_another_epoch_draws_other_items() -> None:
    at = scene()
    objective = ready(RRD(k=2, uninteresting=6).build())
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(objective.loss(at.scores, at.targets))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
