"""Margin-MSE against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives import MarginMSE
from recdistill.objectives.base import Targets, TeacherRankings

from .lists.made_up import N, confidence, listed, ready, scene
from .naive import NaiveScores


def test_formula() -> None:
    at = scene()
    got = ready(MarginMSE(k=4, temperature=1.5).build()).loss(at.scores, at.targets)
    z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
    for row in range(N):
        first = listed(at.targets, row)[:4]
        errors = [
            ((z[row, a] - z[row, b]) - (one - other) / 1.5) ** 2 for a, one in first for b, other in first if a != b
        ]
        wanted = confidence(at.targets, row) * float(np.mean(errors)) if errors else 0.0
        assert float(got[row]) == pytest.approx(wanted, rel=1e-5)


def test_where_the_teacher_has_not_answered_nothing_is_learned_and_all_is_finite() -> None:
    at = scene()
    known = at.known
    silent = torch.arange(N) % 2 == 0
    logp = known.logp.masked_fill(silent[:, None], -torch.inf)
    tails = {t: tail.masked_fill(silent, -torch.inf) for t, tail in known.tails.items()}
    absent = TeacherRankings(known.items, logp, tails, known.confidence * ~silent)
    assert isinstance(at.scores, NaiveScores)
    matrix = at.scores.matrix.clone().requires_grad_()
    targets = Targets(at.targets.labels, at.targets.weights, {"teacher": absent})
    loss = ready(MarginMSE(k=4, unlisted=3).build()).loss(NaiveScores(matrix), targets)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert (loss[silent] == 0).all()
    assert (loss[~silent] > 0).any()
    assert matrix.grad is not None
    assert bool(torch.isfinite(loss).all())
    assert bool(torch.isfinite(matrix.grad).all())
    assert (matrix.grad[silent] == 0).all()
