"""BPR against its formula."""

from __future__ import annotations

import numpy as np
import torch

from recdistill.objectives import BPR

from .naive import NaiveScores, made_up_targets


def test_formula() -> None:
    z = np.random.default_rng(0).standard_normal((6, 4))
    targets = made_up_targets(6, 4, 2)
    torch.manual_seed(3)
    got = BPR(negatives=5).build().loss(NaiveScores(torch.from_numpy(z)), targets)
    torch.manual_seed(3)
    drawn = torch.randint(4, (6, 5)).numpy()
    hits = 0
    for row in range(6):
        label, losses = int(targets.labels[row]), []
        for negative in drawn[row]:
            hits += negative == label
            losses.append(0.0 if negative == label else np.log1p(np.exp(z[row, negative] - z[row, label])))
        assert np.isclose(float(got[row]), float(targets.weights[row]) * np.mean(losses))
    assert hits  # the case that counts nothing is among them
