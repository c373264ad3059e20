"""DLLM2Rec's weights against their formula."""

from __future__ import annotations

import numpy as np
import pytest

from recdistill.objectives import DLLM2Rec

from .lists.made_up import N, confidence, listed, rank, scene, seen, sigmoid, with_picks


@pytest.mark.parametrize("negatives", [0, 4])
def test_formula(negatives: int) -> None:
    at = scene(m=3)
    got, found, z = with_picks(DLLM2Rec(k=3, negatives=negatives), at)
    for row in range(N):
        first = listed(at.targets, row)[:3]
        place = np.exp(-np.arange(len(first)))
        sure = np.exp(np.array([logp for _, logp in first]))
        agreed = np.array([float(rank(z[row], item, seen(at.targets, row)) < 3) for item, _ in first])
        weights = 0.3 * place / place.sum() + 0.5 * sure / sure.sum() + 0.1 * agreed if first else place
        weights = weights / weights.sum() if first else []
        losses = [-np.log(sigmoid(z[row, item])) for item, _ in first]
        below = found.items[row][found.real[row] & ~found.ordered[row]].tolist()
        wanted = float(np.dot(weights, losses)) if first else 0.0
        if below and first:
            wanted += float(np.mean([-np.log(sigmoid(-z[row, item])) for item in below]))
        assert float(got[row]) == pytest.approx(confidence(at.targets, row) * wanted, rel=1e-5)
