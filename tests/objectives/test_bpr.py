"""BPR against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives import BPR

from .naive import NaiveScores, made_up_targets


@pytest.mark.parametrize("m", [1, 3])
def test_formula(m: int) -> None:
    z = np.random.default_rng(0).standard_normal((6, 4))
    targets = made_up_targets(6, 4, 2, m=m)
    torch.manual_seed(3)
    got = BPR(negatives=5).build().loss(NaiveScores(torch.from_numpy(z)), targets)
    torch.manual_seed(3)
    drawn = torch.randint(4, (6, m, 5)).numpy()
    hits = 0
    for row in range(6):
        labels, wanted = targets.labels[row].tolist(), 0.0
        for column, label in enumerate(labels):
            losses = []
            for negative in drawn[row, column]:
                hits += negative in labels
                losses.append(0.0 if negative in labels else np.log1p(np.exp(z[row, negative] - z[row, label])))
            wanted += float(targets.weights[row, column]) * np.mean(losses)
        assert np.isclose(float(got[row]), wanted)
    assert hits  # the case that counts nothing is among them
