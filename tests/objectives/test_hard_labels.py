"""Hard labels against their formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives import HardLabels

from .naive import NaiveScores, made_up_targets


@pytest.mark.parametrize("debias", [0.0, 0.5])
def test_formula(debias: float) -> None:
    z = np.random.default_rng(0).standard_normal((8, 9))
    targets = made_up_targets(8, 9, 4)
    known = targets.rankings["teacher"]
    objective = HardLabels(k=3, decay=2.0, debias=debias).build()
    objective.teachers = ("teacher",)
    events = np.random.default_rng(1).integers(0, 50, 9).astype(float)
    objective.popularity = torch.from_numpy(events)
    got = objective.loss(NaiveScores(torch.from_numpy(z)), targets)
    for row in range(8):
        ranks = [r for r in range(3) if not np.isinf(float(known.logp[row, r]))]
        weights = np.exp(-np.array(ranks) / 2.0)
        weights *= np.array([(1 + events[int(known.items[row, r])]) ** -debias for r in ranks])
        total = np.log(np.exp(z[row]).sum())
        losses = [total - z[row, int(known.items[row, r])] for r in ranks]
        wanted = float(known.confidence[row]) * float(weights @ np.array(losses)) / weights.sum() if ranks else 0.0
        assert np.isclose(float(got[row]), wanted, rtol=1e-6)
