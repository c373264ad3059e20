"""ListMLE against the probability of the teacher's order."""

from __future__ import annotations

import numpy as np
import pytest

from recdistill.objectives import ListMLE

from .lists.made_up import N, confidence, listed, ready, scene


def test_formula() -> None:
    at = scene()
    got = ready(ListMLE(k=3).build()).loss(at.scores, at.targets)
    z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
    for row in range(N):
        left, probability = [item for item, _ in listed(at.targets, row)[:3]], 1.0
        n = max(len(left), 1)
        while left:  # the best first, then the best of the rest
            probability *= np.exp(z[row, left[0]]) / np.exp(z[row, left]).sum()
            left = left[1:]
        assert float(got[row]) == pytest.approx(-confidence(at.targets, row) * np.log(probability) / n, abs=1e-6)
