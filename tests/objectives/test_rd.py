"""Ranking Distillation against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives import RD
from recdistill.objectives.base import Moment

from .lists.made_up import N, confidence, listed, rank, ready, scene, seen, sigmoid


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("discrepancy", [4.0, None])
def test_formula(m: int, discrepancy: float | None) -> None:
    at = scene(m=m)
    objective = ready(RD(k=3, position_scale=2.0, discrepancy_scale=discrepancy).build())
    assert objective.dense == (discrepancy is not None)
    got = objective.loss(at.scores, at.targets)
    z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
    for row in range(N):
        weights, wrong, losses = [], [], []
        for place, (item, _) in enumerate(listed(at.targets, row)[:3]):
            off = max(rank(z[row], item, seen(at.targets, row)) - place, 0)
            weights.append(np.exp(-place / 2.0))
            wrong.append(np.tanh(off / discrepancy) if discrepancy else 1.0)
            losses.append(-np.log(sigmoid(z[row, item])))
        wanted = float(np.dot(np.multiply(weights, wrong), losses) / sum(weights)) if weights else 0.0
        assert float(got[row]) == pytest.approx(confidence(at.targets, row) * wanted, rel=1e-5)


def test_at_first_only_the_place_counts() -> None:
    at, losses = scene(), []
    objective = ready(RD(k=3, by_place=2).build())
    by_place = ready(RD(k=3, discrepancy_scale=None).build()).loss(at.scores, at.targets)
    for epoch in (1, 2, 3):
        objective.begin(Moment(epoch))
        losses.append(objective.loss(at.scores, at.targets))
    assert torch.equal(losses[0], by_place)
    assert torch.equal(losses[1], by_place)
    assert (losses[2] <= by_place).all()
    assert not torch.equal(losses[2], by_place)
