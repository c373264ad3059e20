"""Soft labels against their formula, and where probabilities are 0."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.knowledge import rankings_of
from recdistill.objectives import SoftLabels
from recdistill.objectives.base import Targets, TeacherRankings
from recdistill.objectives.soft_labels import SoftLabelsLoss

from .naive import NaiveScores, made_up_targets, teacher_rankings


def soft_labels(**parameters: object) -> SoftLabelsLoss:
    objective: SoftLabelsLoss = SoftLabels(**parameters).build()
    objective.teachers = ("teacher",)
    return objective


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 3.7])
@pytest.mark.parametrize("k", [None, 2])
@pytest.mark.parametrize("tail", [True, False])
def test_formula(temperature: float, k: int | None, tail: bool) -> None:
    z = 2 * np.random.default_rng(1).standard_normal((8, 12))
    targets = made_up_targets(8, 12, 4)
    objective = soft_labels(temperature=temperature, k=k, tail=tail)
    got = objective.loss(NaiveScores(torch.from_numpy(z)), targets)
    for row in range(8):
        wanted = _by_hand(z[row], targets.rankings["teacher"], row, temperature, k or 4, tail)
        assert np.isclose(float(got[row]), wanted, rtol=1e-5, atol=1e-6)


def _by_hand(z: np.ndarray, known: TeacherRankings, row: int, t: float, k: int, tail: bool) -> float:
    logp = known.logp[row].double().numpy()
    listed = [r for r in range(k) if np.isfinite(logp[r])]
    items = known.items[row].numpy()[listed]
    if not listed:
        return 0.0
    p, q = np.exp(logp[listed] / t), np.exp(z[items] / t)
    if tail:
        p_tail = np.exp(float(known.tails[t][row])) + np.exp(logp[k:] / t).sum()
        q_tail = np.exp(z / t).sum() - q.sum()
        p, q = np.append(p, p_tail), np.append(q, q_tail)
    p, q = p / p.sum(), q / q.sum()
    divergence = sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)
    return t * t * float(known.confidence[row]) * float(divergence)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_whole_list_is_the_whole_divergence(temperature: float) -> None:
    random = np.random.default_rng(2)
    scores, z = (random.standard_normal((5, 6)).astype(np.float32) for _ in range(2))
    known = teacher_rankings(rankings_of(scores, 6), 6)
    got = soft_labels(temperature=temperature).loss(
        NaiveScores(torch.from_numpy(z)), Targets(torch.zeros(5, 1).long(), torch.ones(5, 1), {"teacher": known})
    )
    p = torch.log_softmax(torch.from_numpy(scores) / temperature, dim=1)
    q = torch.log_softmax(torch.from_numpy(z) / temperature, dim=1)
    wanted = temperature**2 * (p.exp() * (p - q)).sum(1)
    assert torch.allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_a_student_like_the_teacher_has_no_loss() -> None:
    scores = np.random.default_rng(3).standard_normal((5, 30)).astype(np.float32)
    known = teacher_rankings(rankings_of(scores, 7), 30)
    z = torch.from_numpy(scores).requires_grad_()
    for temperature in (1.0, 2.0):  # where the tail is exact
        loss = soft_labels(temperature=temperature).loss(
            NaiveScores(z), Targets(torch.zeros(5, 1).long(), torch.ones(5, 1), {"teacher": known})
        )
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        assert loss.abs().max() < 1e-6
        assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("tail", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_no_gradient_is_nan(tail: bool, scale: float) -> None:
    targets = made_up_targets(8, 12, 4)
    z = (scale * torch.randn(8, 12, generator=torch.Generator().manual_seed(0))).requires_grad_()
    soft_labels(tail=tail).loss(NaiveScores(z), targets).sum().backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    assert z.grad.isfinite().all()
    assert not z.grad[1].any()  # the empty list
    assert not z.grad[2].any()  # no answer


@pytest.mark.parametrize("trust", ["listed", "better"])
def test_trust(trust: str) -> None:
    """What the teacher says counts where it has the label, or as far as it ranks the label better than the student."""
    counted = 0
    for seed in range(4):
        targets = made_up_targets(8, 12, 4, seed=seed)
        z = 2 * np.random.default_rng(9).standard_normal((8, 12))
        scores = NaiveScores(torch.from_numpy(z))
        everywhere = soft_labels().loss(scores, targets)
        got = soft_labels(trust=trust, trust_scale=3.0).loss(scores, targets)
        known = targets.rankings["teacher"]
        for row, label in enumerate(targets.labels[:, 0].tolist()):
            order = known.items[row][~known.logp[row].isneginf()].tolist()
            factor = float(label in order)
            if factor and trust == "better":
                ahead = int((z[row] > z[row, label]).sum()) - order.index(label)
                factor = float(np.tanh(max(ahead, 0) / 3.0))
            counted += factor > 0
            assert float(got[row]) == pytest.approx(factor * float(everywhere[row]), rel=1e-5)
    assert counted
