"""What all ranking objectives have in common."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import recdistill.objectives as objectives
from recdistill.objectives import CrossEntropy, Ranking
from recdistill.objectives.base import ScoreObjective, Targets
from recdistill.objectives.lists import ListObjective, RankingsObjective
from recdistill.objectives.unkd import UnKDLoss, strata
from recdistill.training import Training, fit
from tests.training.made_up import FAST, STUDENT, knowledge, split

from .made_up import N, ready, scene

NAMES = [
    name
    for name in objectives.OBJECTIVES
    if name != "auto" and isinstance(objectives.OBJECTIVES[name].load()().build(), RankingsObjective)
]


def test_names() -> None:
    assert {"rd", "cd", "rrd", "dcd", "unkd", "rce-kd", "ranking", "soft-labels"} <= set(NAMES)


def built(name: str) -> ScoreObjective:
    objective = ready(objectives.OBJECTIVES[name].load()().build())
    if isinstance(objective, UnKDLoss):
        objective.groups = strata(objective.popularity, 2)
    return objective


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("m", [1, 4])
def test_nothing_where_there_is_no_answer(name: str, m: int) -> None:
    """Empty lists, short lists, confidence 0, no labels; lists are shorter than any k asks for."""
    at = scene(m=m)
    z = at.scores.matrix.clone().float().requires_grad_()  # type: ignore[attr-defined]
    at.scores.matrix = z  # type: ignore[attr-defined]
    loss = built(name).loss(at.scores, at.targets)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert loss.shape == (N,)
    assert loss.isfinite().all()
    assert z.grad is not None
    assert z.grad.isfinite().all()
    for row in (1, 2):  # an empty list; no answer
        assert not loss[row]
        assert not z.grad[row].any()
    assert z.grad[4].any() or name in {"dcd", "rd"}  # also where there is no label


@pytest.mark.parametrize("name", NAMES)
def test_confidence_is_a_factor(name: str) -> None:
    at = scene(m=2)
    known, objective = at.known, built(name)
    torch.manual_seed(0)
    before = objective.loss(at.scores, at.targets)
    half = type(known)(known.items, known.logp, known.tails, known.confidence / 2)
    torch.manual_seed(0)
    after = objective.loss(at.scores, Targets(at.targets.labels, at.targets.weights, {"teacher": half}))
    torch.testing.assert_close(after, before / 2)


def test_weights_of_ordered_items_have_mean_one() -> None:
    at = scene()
    objective = ready(Ranking(k=4, unlisted=3, weights=("position", "unpopularity", "probability")).build())
    assert isinstance(objective, ListObjective)
    found = objective.pick(at)
    weights, left = objective._weights(at, found, at.scores.of(found.items))
    assert (left == 1).all()
    for row in range(N):
        ordered = weights[row][found.ordered[row]]
        assert not len(ordered) or float(ordered.mean()) == pytest.approx(1.0, rel=1e-5)
        assert (weights[row][found.real[row] & ~found.ordered[row]] == 1).all()
        assert not weights[row][~found.real[row]].any()


@pytest.mark.parametrize("weight", ["position", "probability", "discrepancy", "consistency", "error", "unpopularity"])
@pytest.mark.parametrize("pick", ["top", "rank", "student", "underestimated"])
def test_every_combination_can_be_asked_for(weight: str, pick: str) -> None:
    at = scene(m=2)
    for compare in ("labels", "odds", "softmax", "list-mle", "ranknet", "margin-mse", "pearson"):
        config = Ranking(pick=pick, weights=(weight,), compare=compare, unlisted=3, k=4)
        assert ready(config.build()).loss(at.scores, at.targets).isfinite().all()


@pytest.mark.parametrize("name", ["rrd", "dcd", "unkd"])
def test_trains(name: str, tmp_path: Path) -> None:
    """Through the loop, with a teacher's store: what is learned is the teacher's."""
    data = split()
    known = knowledge(data, tmp_path)
    terms = (CrossEntropy(weight=0.1), objectives.OBJECTIVES[name].load()())
    fitted = fit(STUDENT, data, terms, knowledge=known, training=Training(epochs=3, **FAST))
    losses = [record["loss"][name] for record in fitted.history]
    assert all(loss >= 0 for loss in losses)
    assert losses[-1] < losses[0]
