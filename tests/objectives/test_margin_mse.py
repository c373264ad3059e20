"""Margin-MSE against its formula."""

from __future__ import annotations

import numpy as np
import pytest

from recdistill.objectives import MarginMSE

from .lists.made_up import N, confidence, listed, ready, scene


def test_formula() -> None:
    at = scene()
    got = ready(MarginMSE(k=4, temperature=1.5).build()).loss(at.scores, at.targets)
    z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
    for row in range(N):
        first = listed(at.targets, row)[:4]
        errors = [
            ((z[row, a] - z[row, b]) - (one - other) / 1.5) ** 2 for a, one in first for b, other in first if a != b
        ]
        wanted = confidence(at.targets, row) * float(np.mean(errors)) if errors else 0.0
        assert float(got[row]) == pytest.approx(wanted, rel=1e-5)
