"""Cross-entropy against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives import CrossEntropy

from .naive import NaiveScores, made_up_targets


@pytest.mark.parametrize("m", [1, 4])
def test_formula(m: int) -> None:
    z = np.random.default_rng(0).standard_normal((7, 11))
    targets = made_up_targets(7, 11, 3, m=m)
    got = CrossEntropy().build().loss(NaiveScores(torch.from_numpy(z)), targets)
    for row in range(7):
        total, wanted = np.log(np.exp(z[row]).sum()), 0.0
        for label, weight in zip(targets.labels[row].tolist(), targets.weights[row].tolist(), strict=True):
            wanted += weight * (total - z[row, label]) if label >= 0 else 0.0
        assert np.isclose(float(got[row]), wanted)
