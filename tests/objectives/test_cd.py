"""Collaborative Distillation against its formula, where every item of the ranking is drawn."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from recdistill.objectives import CD

from .lists.made_up import ITEMS, N, confidence, listed, ready, scene, seen, sigmoid, unlisted_logp


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("guide", ["teacher", "student"])
def test_formula(m: int, guide: Literal["teacher", "student"]) -> None:
    at = scene(m=m)
    objective = ready(CD(guide=guide, k=20, pool=6, temperature=1.5).build())
    got = objective.loss(at.scores, at.targets)
    z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
    for row in range(N):
        teacher = dict(listed(at.targets, row))
        items = list(teacher)
        if guide == "student":
            items = [item for item in np.argsort(-z[row]).tolist() if item not in seen(at.targets, row)][:6]
        losses = []
        for item in items if teacher else []:
            with np.errstate(over="ignore"):
                q = sigmoid((np.log(ITEMS) + max(teacher.get(item, unlisted_logp(at.targets, row)), -1e30)) / 1.5)
            mine = sigmoid(z[row, item])
            losses.append(-q * np.log(mine) - (1 - q) * np.log(1 - mine))
        wanted = float(np.mean(losses)) if losses else 0.0
        assert float(got[row]) == pytest.approx(confidence(at.targets, row) * wanted, rel=1e-5)
