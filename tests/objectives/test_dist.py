"""DIST against NumPy's correlation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives import DIST

from .lists.made_up import N, confidence, listed, ready, scene


def softmax(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(values) / np.exp(values).sum())


def test_formula() -> None:
    at = scene()
    got = ready(DIST(k=4, unlisted=0, temperature=1.5).build()).loss(at.scores, at.targets)
    z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
    for row in range(N):
        first = listed(at.targets, row)[:4]
        wanted = 0.0
        if len(first) > 1:
            mine = softmax(z[row, [item for item, _ in first]] / 1.5)
            wanted = 1 - np.corrcoef(softmax(np.array([logp for _, logp in first]) / 1.5), mine)[0, 1]
        assert float(got[row]) == pytest.approx(confidence(at.targets, row) * wanted, rel=1e-4, abs=1e-6)


def test_a_less_certain_student_is_not_punished() -> None:
    at = scene()
    objective = ready(DIST(unlisted=0).build())
    before = objective.loss(at.scores, at.targets)
    at.scores.matrix = torch.log(torch.softmax(at.scores.matrix, dim=1) + 0.3)  # type: ignore[attr-defined]
    torch.testing.assert_close(objective.loss(at.scores, at.targets), before)
