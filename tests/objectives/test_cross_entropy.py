"""Cross-entropy against its formula."""

from __future__ import annotations

import numpy as np
import torch

from recdistill.objectives import CrossEntropy

from .naive import NaiveScores, made_up_targets


def test_formula() -> None:
    z = np.random.default_rng(0).standard_normal((7, 11))
    targets = made_up_targets(7, 11, 3)
    got = CrossEntropy().build().loss(NaiveScores(torch.from_numpy(z)), targets)
    for row in range(7):
        label, weight = int(targets.labels[row]), float(targets.weights[row])
        wanted = weight * (np.log(np.exp(z[row]).sum()) - z[row, label])
        assert np.isclose(float(got[row]), wanted)
