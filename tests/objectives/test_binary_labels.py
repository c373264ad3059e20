"""Binary soft labels against their formula."""

from __future__ import annotations

import numpy as np
import pytest

from recdistill.objectives import BinaryLabels

from .lists.made_up import ITEMS, N, confidence, listed, scene, sigmoid, unlisted_logp, with_picks


@pytest.mark.parametrize("unlisted", [0, 5])
def test_formula(unlisted: int) -> None:
    at = scene()
    got, found, z = with_picks(BinaryLabels(k=3, unlisted=unlisted, temperature=1.5), at)
    for row in range(2, N):
        teacher, losses = dict(listed(at.targets, row)), []
        for item in found.items[row][found.real[row]].tolist():
            q = sigmoid(np.log(ITEMS * np.exp(teacher.get(item, unlisted_logp(at.targets, row)))) / 1.5)
            mine = sigmoid(z[row, item])
            losses.append(-q * np.log(mine) - (1 - q) * np.log(1 - mine))
        assert float(got[row]) == pytest.approx(confidence(at.targets, row) * float(np.mean(losses)), rel=1e-5)
