"""DLLM2Rec's weights against their formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives import DLLM2Rec
from recdistill.objectives.lists import ListObjective

from .lists.made_up import N, confidence, listed, rank, ready, scene, seen, sigmoid


@pytest.mark.parametrize("negatives", [0, 4])
def test_formula(negatives: int) -> None:
    at = scene(m=3)
    objective = ready(DLLM2Rec(k=3, negatives=negatives).build())
    torch.manual_seed(0)
    got = objective.loss(at.scores, at.targets)
    torch.manual_seed(0)
    assert isinstance(objective, ListObjective)
    found = objective.pick(at)
    z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
    for row in range(N):
        first = listed(at.targets, row)[:3]
        place = np.exp(-np.arange(len(first)))
        sure = np.exp(np.array([logp for _, logp in first]))
        agreed = np.array([float(rank(z[row], item, seen(at.targets, row)) < 3) for item, _ in first])
        parts = ((0.3, place), (0.5, sure), (0.1, agreed))
        weights = sum(factor * part / part.sum() for factor, part in parts if part.sum())
        weights = weights / weights.sum() if first else []
        losses = [-np.log(sigmoid(z[row, item])) for item, _ in first]
        below = found.items[row][found.real[row] & ~found.ordered[row]].tolist()
        wanted = float(np.dot(weights, losses)) if first else 0.0
        if below and first:
            wanted += float(np.mean([-np.log(sigmoid(-z[row, item])) for item in below]))
        assert float(got[row]) == pytest.approx(confidence(at.targets, row) * wanted, rel=1e-5)
