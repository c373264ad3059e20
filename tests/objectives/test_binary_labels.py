"""Binary soft labels against their formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives import BinaryLabels
from recdistill.objectives.lists import ListObjective

from .lists.made_up import ITEMS, N, confidence, listed, ready, scene, sigmoid, unlisted_logp


@pytest.mark.parametrize("unlisted", [0, 5])
def test_formula(unlisted: int) -> None:
    at = scene()
    objective = ready(BinaryLabels(k=3, unlisted=unlisted, temperature=1.5).build())
    assert isinstance(objective, ListObjective)
    torch.manual_seed(0)
    got = objective.loss(at.scores, at.targets)
    torch.manual_seed(0)
    found = objective.pick(at)
    z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
    for row in range(2, N):
        teacher, losses = dict(listed(at.targets, row)), []
        for item in found.items[row][found.real[row]].tolist():
            q = sigmoid(np.log(ITEMS * np.exp(teacher.get(item, unlisted_logp(at.targets, row)))) / 1.5)
            mine = sigmoid(z[row, item])
            losses.append(-q * np.log(mine) - (1 - q) * np.log(1 - mine))
        assert float(got[row]) == pytest.approx(confidence(at.targets, row) * float(np.mean(losses)), rel=1e-5)
