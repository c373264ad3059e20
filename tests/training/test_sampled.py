"""Sampled softmax: the estimate is right on average, its gradient is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recdistill.objectives import BPR, CD, DCD, DKD, RCEKD, RD, RRD, CrossEntropy, HardLabels, SoftLabels
from recdistill.objectives.base import ObjectiveConfig, Targets
from recdistill.training import head
from recdistill.training.head import catalogue_loss
from recdistill.training.sampled import Negatives, SampledChunk

from ..objectives.naive import NaiveScores, made_up_targets
from .test_head import ITEMS, N, built, student

Q = torch.linspace(1, 3, ITEMS, dtype=torch.float64)
Q = Q / Q.sum()


def test_draw_counts_repeats() -> None:
    torch.manual_seed(0)
    drawn = torch.multinomial(Q, 50, replacement=True)
    torch.manual_seed(0)
    negatives = Negatives.draw(Q, 50)
    assert negatives.items.tolist() == sorted(set(drawn.tolist()))
    for item, log_expected in zip(negatives.items.tolist(), negatives.log_expected.tolist(), strict=True):
        assert np.isclose(log_expected, np.log(50 * float(Q[item]) / int((drawn == item).sum())))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("without", [False, True])
def test_estimate_is_unbiased(temperature: float, without: bool) -> None:
    hidden, table, bias = (value.detach() for value in student(0.7))
    first = torch.arange(N) % ITEMS
    labels = torch.stack([first, (first + 7) % ITEMS, first, torch.full((N,), -1)], dim=1)  # one is there twice
    labels[1] = -1
    out = torch.stack([first.roll(1), (first + 3) % ITEMS, torch.full((N,), -1)], dim=1)
    out[::4, 0] = first[::4]  # a label may be among them
    estimates = []
    torch.manual_seed(1)
    for _ in range(600):
        chunk = SampledChunk(hidden, table, bias, labels, negatives=Negatives.draw(Q, 12))
        estimates.append(chunk.logsumexp(temperature, out if without else None).detach().exp())
    terms = torch.exp((hidden @ table.T + bias) / temperature)
    if without:
        for row in range(N):
            terms[row, [item for item in out[row].tolist() if item >= 0]] = 0.0
    exact, mean = terms.sum(1), torch.stack(estimates).mean(0)
    error = torch.stack(estimates).std(0) / 600**0.5
    z = (mean - exact) / error
    assert z.abs().max() < 4.5
    assert abs(float(z.mean())) < 0.5


MIXES: list[list[ObjectiveConfig]] = [
    [CrossEntropy()],
    [CrossEntropy(), SoftLabels(temperature=2.0), SoftLabels(temperature=1.0)],
    [SoftLabels(temperature=3.7, tail=False), HardLabels(), BPR()],
    [CrossEntropy(), RRD(k=3, uninteresting=5), DKD()],
]


class NaiveSampled(NaiveScores):
    """The estimate by loops, so that autograd sees every score."""

    def __init__(self, matrix: Tensor, labels: Tensor, drawn: Tensor) -> None:
        super().__init__(matrix)
        self.labels, self.drawn, self.exact = labels, drawn, False

    def logsumexp(self, temperature: float = 1.0, without: Tensor | None = None) -> Tensor:
        rows = []
        for row, labels in enumerate(self.labels.tolist()):
            out = set() if without is None else set(without[row].tolist())
            scores = self.matrix[row] / temperature
            terms = [scores[label] for label in labels if label >= 0 and label not in out]
            for item in self.drawn.tolist():
                if item not in labels and item not in out:
                    terms.append(scores[item] - torch.log(len(self.drawn) * Q[item]))
            rows.append(torch.logsumexp(torch.stack(terms), dim=0))
        return torch.stack(rows)


@pytest.mark.parametrize("mix", range(len(MIXES)))
@pytest.mark.parametrize(("with_bias", "m"), [(True, 1), (False, 1), (True, 4)])
def test_gradients(mix: int, with_bias: bool, m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_CHUNK_NUMBERS", 1)
    hidden, table, bias = student()
    given = [hidden, table, bias] if with_bias else [hidden, table]
    targets, terms = made_up_targets(N, ITEMS, 4, m=m), built(MIXES[mix])
    torch.manual_seed(2)
    drawn = torch.multinomial(Q, 40, replacement=True)  # of 30 items: repeats and labels are among them
    torch.manual_seed(2)
    negatives = Negatives.draw(Q, 40)
    torch.manual_seed(3)
    loss, _ = catalogue_loss(hidden, table, bias if with_bias else None, targets, terms, negatives)
    got = torch.autograd.grad(loss, given)
    torch.manual_seed(3)
    matrix = hidden @ table.T + (bias if with_bias else 0)
    sums = torch.zeros((), dtype=torch.float64)
    for start in range(0, N, 32):
        part = slice(start, start + 32)
        scores: NaiveSampled = NaiveSampled(matrix[part], targets.labels[part], drawn)
        sums = sums + sum(objective.loss(scores, targets.rows(part)).sum() * weight for objective, weight in terms)
    wanted = torch.autograd.grad(sums / N, given)
    torch.testing.assert_close(loss, sums / N, rtol=1e-9, atol=1e-9)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-10)


def test_finite_where_the_sample_is_all_listed() -> None:
    hidden, table, _ = student(dtype=torch.float32)
    targets = made_up_targets(N, ITEMS, 4)
    targets = Targets(targets.rankings["teacher"].items[:, :1].clone(), targets.weights, targets.rankings)
    only = Negatives(targets.labels[5], torch.zeros(1))
    loss, _ = catalogue_loss(hidden, table, None, targets, built([SoftLabels()]), only)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    for gradient in (hidden.grad, table.grad):
        assert gradient is not None
        assert gradient.isfinite().all()


def test_estimated_ranks() -> None:
    hidden, table, bias = (value.detach() for value in student(0.7))
    labels = torch.stack([torch.arange(N) % ITEMS, torch.full((N,), -1)], dim=1)
    items = torch.randint(ITEMS, (N, 6), generator=torch.Generator().manual_seed(0))
    estimates = []
    torch.manual_seed(1)
    for _ in range(300):
        chunk = SampledChunk(hidden, table, bias, labels, negatives=Negatives.draw(Q, 60))
        estimates.append(chunk.ranks(items).double())
    exact = NaiveScores(hidden @ table.T + bias).ranks(items)
    middle = (exact > 2) & (exact < ITEMS - 8)  # rounding, and what is above the last rank, make it biased at the ends
    assert (torch.stack(estimates).mean(0) - exact)[middle].abs().mean() < 0.5


def test_the_best_of_the_sample() -> None:
    hidden, table, bias = (value.detach() for value in student())
    labels = torch.stack([torch.arange(N) % ITEMS, torch.full((N,), -1)], dim=1)
    negatives = Negatives(torch.tensor([2, 5, 9]), torch.zeros(3))
    got = SampledChunk(hidden, table, bias, labels, negatives=negatives).top(5)
    scores = hidden @ table.T + bias
    for row in range(N):
        wanted = sorted({2, 5, 9, row % ITEMS}, key=lambda item: -float(scores[row, item]))
        assert [item for item in got[row].tolist() if item >= 0] == wanted
        assert got[row].tolist()[len(wanted) :] == [-1] * (5 - len(wanted))
    everything = Negatives(torch.arange(ITEMS), torch.zeros(ITEMS))
    chunk = SampledChunk(hidden, table, bias, labels, negatives=everything)
    items = torch.randint(ITEMS, (N, 6), generator=torch.Generator().manual_seed(0))
    out = torch.stack([items[:, 2], labels[:, 0], torch.full((N,), -1)], dim=1)
    for without in (None, out):
        assert torch.equal(chunk.ranks(items, without), NaiveScores(scores).ranks(items, without))
        assert torch.equal(chunk.top(40, without), NaiveScores(scores).top(40, without))


def test_what_the_student_guides_can_be_sampled_too() -> None:
    hidden, table, bias = student()
    targets, terms = made_up_targets(N, ITEMS, 6, m=3), built([CrossEntropy(), RD(), CD(), DCD(), RCEKD(k=3, pool=8)])
    torch.manual_seed(0)
    loss, means = catalogue_loss(hidden, table, bias, targets, terms, Negatives.draw(Q, 12))
    loss.backward()  # type: ignore[no-untyped-call]
    assert (means > 0).all()
    for gradient in (hidden.grad, table.grad, bias.grad):
        assert gradient is not None
        assert gradient.isfinite().all()
    everything = Negatives(torch.arange(ITEMS), torch.zeros(ITEMS))  # of which the estimates are exact
    torch.manual_seed(0)
    sampled, _ = catalogue_loss(hidden, table, bias, targets, terms, everything)
    torch.manual_seed(0)
    exact, _ = catalogue_loss(hidden, table, bias, targets, terms)
    torch.testing.assert_close(sampled, exact)
