"""Dual Correction against its formula, where every misranked item is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from recdistill.objectives import DCD

from .lists.made_up import N, confidence, listed, rank, ready, scene, seen


@pytest.mark.parametrize("m", [1, 3])
def test_formula(m: int) -> None:
    at, corrected = scene(m=m), 0
    objective = ready(DCD(k=20).build())
    got = objective.loss(at.scores, at.targets)
    z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
    for row in range(N):
        order = [item for item, _ in listed(at.targets, row)]
        off = {item: rank(z[row], item, seen(at.targets, row)) - place for place, item in enumerate(order)}
        under, over = ([item for item in order if sign * off[item] > 0] for sign in (1, -1))
        losses = [
            np.log(np.exp(z[row, under[place:]]).sum() + np.exp(z[row, over]).sum()) - z[row, item]
            for place, item in enumerate(under)
        ]
        corrected += bool(under and over)
        wanted = float(np.mean(losses)) if losses else 0.0
        assert float(got[row]) == pytest.approx(confidence(at.targets, row) * wanted, rel=1e-5, abs=1e-9)
    assert corrected
