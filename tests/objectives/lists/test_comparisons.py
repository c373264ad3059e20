"""Every comparison against its formula, item by item and pair by pair."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from recdistill.objectives.lists.comparisons import (
    Comparison,
    Labels,
    ListMLE,
    MarginMSE,
    Odds,
    Pearson,
    RankNet,
    Softmax,
)
from recdistill.objectives.lists.scene import NEVER, Picked

N, S, ITEMS = 6, 7, 40
Row = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Scores, the teacher's log-probabilities, weights and which are ordered, of the real items of a position."""


def picked(seed: int = 0) -> tuple[torch.Tensor, Picked, torch.Tensor]:
    """Scores, items and weights: position 0 is full, 1 has no item, 2 one, 3 no ordered one, 4 only ordered ones."""
    random = np.random.default_rng(seed)
    real = random.random((N, S)) < 0.8
    real[0], real[1], real[2] = True, False, np.arange(S) == 0
    ordered = real & (np.arange(S) < 4)
    ordered[3], ordered[4] = False, real[4]
    logp = np.where(real, -np.sort(random.exponential(2, (N, S)), axis=1) - 1, NEVER)
    weights = np.where(real, random.random((N, S)) + 0.1, 0.0)
    scores = random.standard_normal((N, S))
    items = torch.from_numpy(random.integers(0, ITEMS, (N, S)))
    found = Picked(
        items, torch.from_numpy(logp), torch.arange(S).expand(N, -1), torch.from_numpy(real), torch.from_numpy(ordered)
    )
    return torch.from_numpy(scores), found, torch.from_numpy(weights)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(x) / np.exp(x).sum())


def mean(pairs: list[tuple[float, float]]) -> float:
    """Of (value, weight)."""
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else 0.0


def labels(row: Row) -> float:
    z, _, w, ordered = row
    above = [(-math.log(sigmoid(z[i])), w[i]) for i in range(len(z)) if ordered[i]]
    below = [(-math.log(sigmoid(-z[i])), w[i]) for i in range(len(z)) if not ordered[i]]
    return mean(above) + mean(below)


def odds(row: Row, t: float) -> float:
    z, s, w, _ = row
    q = [sigmoid(math.log(ITEMS * math.exp(value)) / t) for value in s]
    return mean(
        [(-q[i] * math.log(sigmoid(z[i])) - (1 - q[i]) * math.log(1 - sigmoid(z[i])), w[i]) for i in range(len(z))]
    )


def divergence(row: Row, t: float) -> float:
    z, s, w, _ = row
    if not len(z):
        return 0.0
    p = np.exp(s / t) * w
    p, q = p / p.sum(), softmax(z / t)
    return t * t * float((p * np.log(p / q)).sum())


def plackett_luce(row: Row) -> float:
    z, _, w, ordered = row
    places = np.flatnonzero(ordered)
    below = np.exp(z[~ordered]).sum()
    losses = [math.log(np.exp(z[places[r:]]).sum() + below) - z[place] for r, place in enumerate(places)]
    return mean(list(zip(losses, w[places], strict=True)))


def pairs(row: Row, t: float | None) -> float:
    z, s, w, ordered = row
    losses = []
    for i in range(len(z)):
        for j in range(i + 1, len(z)):
            if ordered[i]:
                p = 1.0 if t is None else sigmoid((s[i] - s[j]) / t)
                ahead = sigmoid(z[i] - z[j])
                losses.append((-p * math.log(ahead) - (1 - p) * math.log(1 - ahead), w[i] * w[j]))
    return mean(losses)


def margins(row: Row, t: float) -> float:
    z, s, w, _ = row
    apart = [(i, j) for i in range(len(z)) for j in range(len(z)) if i != j]
    return mean([(((z[i] - z[j]) - (s[i] - s[j]) / t) ** 2, w[i] * w[j]) for i, j in apart])


def correlation(row: Row, t: float) -> float:
    z, s, w, _ = row
    if len(z) < 2:
        return 0.0
    covariance = np.cov(np.stack([softmax(s / t), softmax(z / t)]), aweights=w)
    return 1 - float(covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1]))


CASES: list[tuple[Comparison, Callable[[Row], float]]] = [
    (Labels(), labels),
    (Odds(1.7), lambda row: odds(row, 1.7)),
    (Softmax(1.0), lambda row: divergence(row, 1.0)),
    (Softmax(2.5), lambda row: divergence(row, 2.5)),
    (ListMLE(), plackett_luce),
    (RankNet(), lambda row: pairs(row, None)),
    (RankNet(1.5), lambda row: pairs(row, 1.5)),
    (MarginMSE(2.0), lambda row: margins(row, 2.0)),
    (Pearson(1.5), lambda row: correlation(row, 1.5)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: type(case[0]).__name__)
def test_formula(case: tuple[Comparison, Callable[[Row], float]]) -> None:
    compare, by_hand = case
    for seed in range(3):
        scores, found, weights = picked(seed)
        got = compare(scores, found, weights, ITEMS)
        for n in range(N):
            real = found.real[n].numpy()
            row = tuple(values[n].numpy()[real] for values in (scores, found.logp, weights, found.ordered))
            assert float(got[n]) == pytest.approx(by_hand(row), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("compare", [case[0] for case in CASES], ids=lambda compare: type(compare).__name__)
def test_gradient(compare: Comparison) -> None:
    scores, found, weights = picked()
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: compare(z, found, weights, ITEMS), (scores,), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("compare", [case[0] for case in CASES], ids=lambda compare: type(compare).__name__)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_finite(compare: Comparison, scale: float) -> None:
    scores, found, weights = picked()
    scores = (scale * scores).float().requires_grad_()
    loss = compare(scores, found, weights.float(), ITEMS)
    (gradient,) = torch.autograd.grad(loss.sum(), scores)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()
    assert not gradient[~found.real].any()
    assert not loss[1].any()


@pytest.mark.parametrize("compare", [Softmax(2.0), MarginMSE(1.0), Pearson(1.0)], ids=lambda c: type(c).__name__)
def test_a_student_like_the_teacher_has_no_loss(compare: Comparison) -> None:
    _, found, _ = picked()
    scores = (found.logp.masked_fill(~found.real, 0.0) + 3).requires_grad_()
    loss = compare(scores, found, found.real.double(), ITEMS)
    (gradient,) = torch.autograd.grad(loss.sum(), scores)
    assert loss.abs().max() < 1e-6
    assert gradient.abs().max() < 1e-6
