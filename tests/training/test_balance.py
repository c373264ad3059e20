"""Factors of loss terms: against their formulas, and through the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recdistill.data.dataset import Split
from recdistill.errors import ConfigError
from recdistill.knowledge import Knowledge
from recdistill.objectives import BPR, CrossEntropy, EmbeddingHint, SoftLabels, StartFrom
from recdistill.training import SideTask, Training, fit
from recdistill.training.balance import GradientNorm, Uncertainty
from recdistill.training.learner import Learner
from recdistill.training.setup import build_loader
from tests.data.test_tasks import BUY, behaviours

from .made_up import FAST, MIX, STUDENT, knowledge, split

TERMS = (CrossEntropy(), SoftLabels(temperature=4.0), EmbeddingHint(weight=0.5, items=16, dim=8))


@pytest.fixture(scope="module")
def data() -> Split:
    return split()


@pytest.fixture(scope="module")
def taught(data: Split, tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    return knowledge(data, tmp_path_factory.mktemp("taught"))


def test_uncertainty_ends_at_half_over_the_loss() -> None:
    balance = Uncertainty(["a", "b", "never"])
    for _ in range(500):
        balance.learn({"a": 4.0, "b": 0.25}, {})
    assert balance.factors() == pytest.approx({"a": 0.125, "b": 2.0, "never": 1.0}, rel=1e-3)
    for _ in range(2000):
        balance.learn({"a": 1e9, "b": 0.0}, {})
    assert balance.factors()["a"] == pytest.approx(np.exp(-4))
    assert balance.factors()["b"] == pytest.approx(np.exp(4))


def test_uncertainty_follows_its_gradient() -> None:
    balance, loss = Uncertainty(["a"]), 3.0
    s = torch.zeros((), dtype=torch.float64, requires_grad=True)
    for _ in range(5):
        (gradient,) = torch.autograd.grad(torch.exp(-s) * loss + s / 2, s)
        s = (s - 0.05 * gradient).detach().requires_grad_()
        balance.learn({"a": loss}, {})
        assert float(balance.logs[0]) == pytest.approx(float(s.detach()))


@pytest.mark.parametrize("asymmetry", [0.0, 1.0])
def test_gradient_norms_become_what_is_wanted(asymmetry: float) -> None:
    balance, norms = GradientNorm(["fast", "slow", "idle"], asymmetry), {"fast": 5.0, "slow": 0.5, "idle": 0.0}
    balance.learn({"fast": 2.0, "slow": 2.0, "idle": 1.0}, {})
    measured = 0
    for _ in range(4000):
        at = norms if balance.measures else {}
        measured += bool(at)
        balance.learn({"fast": 0.5, "slow": 1.0, "idle": 1.0}, at)
    assert measured == 200
    factors = balance.factors()
    assert factors["idle"] == 1.0
    assert factors["fast"] + factors["slow"] == pytest.approx(2.0)
    # half of what is left of the other's loss: wanted is half of its norm
    ratio = factors["slow"] * norms["slow"] / (factors["fast"] * norms["fast"])
    assert ratio == pytest.approx(2.0**asymmetry, rel=1e-3)


def test_norms_are_those_of_the_single_terms(data: Split, taught: Knowledge, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, float]] = []
    monkeypatch.setattr(GradientNorm, "learn", lambda self, losses, norms: seen.append(dict(norms)))
    training = Training(epochs=1, balance="gradient-norm", **FAST)
    fit(STUDENT.replace(dropout=0.0), data, TERMS, knowledge=taught, training=training)
    for term in TERMS:
        fit(STUDENT.replace(dropout=0.0), data, [term], knowledge=taught, training=training)
    assert set(seen[0]) == {"cross-entropy", "soft-labels", "embedding-hint"}
    first = seen[: len(seen) // 4]
    assert len(first) > 1
    assert first[0]["cross-entropy"] == pytest.approx(seen[len(first)]["cross-entropy"], rel=1e-4)
    assert first[0]["soft-labels"] == pytest.approx(seen[2 * len(first)]["soft-labels"], rel=1e-4)


@pytest.mark.parametrize("balance", ["uncertainty", "gradient-norm"])
def test_resumes_exactly_and_is_written_down(data: Split, taught: Knowledge, tmp_path: Path, balance: str) -> None:
    def run(epochs: int, directory: Path | None = None) -> Any:
        training = Training(epochs=epochs, balance=balance, **FAST)
        return fit(STUDENT, data, MIX, knowledge=taught, training=training, directory=directory)

    whole = run(4)
    run(2, tmp_path)
    parts = run(4, tmp_path)
    tensors, others = whole.model.tensors(), parts.model.tensors()
    assert all(np.array_equal(tensors[name], others[name]) for name in tensors)
    assert [r["balance"] for r in whole.history] == [r["balance"] for r in parts.history]
    factors = whole.history[-1]["balance"]
    assert set(factors) == {"cross-entropy", "soft-labels", "embedding-hint"}
    assert any(abs(factor - 1) > 0.02 for factor in factors.values())
    if balance == "gradient-norm":
        assert sum(factors.values()) == pytest.approx(3.0)
    losses = [record["loss"]["cross-entropy"] for record in whole.history]
    assert losses[-1] < losses[0]


def test_terms_apart_are_the_terms_together(data: Split, taught: Knowledge) -> None:
    """Where gradients are measured, the step is the same as elsewhere."""
    learner = Learner(STUDENT.replace(dropout=0.0), data, TERMS, taught, Training(**FAST), torch.device("cpu"))
    loader = build_loader(
        STUDENT, data, taught, list(learner.objectives.values()), Training(**FAST), torch.device("cpu")
    )
    step = next(iter(loader.epoch(0, 1)))
    weights = {"cross-entropy": 1.0, "soft-labels": 0.3, "embedding-hint": 0.5}
    results = []
    for apart in (False, True):
        torch.manual_seed(0)
        learner.optimiser.zero_grad()
        said = learner.forward(step.batch, weights)
        losses, values = learner._losses(said, step.batch, step.rankings, weights, None, apart=apart)
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        results.append([torch.stack(list(values.values())), *(p.grad for p in learner.model.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("balance", ["uncertainty", "gradient-norm"])
def test_terms_of_further_tasks_are_balanced_too(balance: Any) -> None:
    data = behaviours(n_users=60)
    side = {"buy": SideTask(labels=BUY, objectives=[CrossEntropy()], weight=0.5)}
    training = Training(epochs=2, balance=balance, **FAST)
    fitted = fit(STUDENT, data, [CrossEntropy()], tasks=side, training=training)
    factors = fitted.history[-1]["balance"]
    assert set(factors) == {"cross-entropy", "buy/cross-entropy"}
    assert all(factor != 1.0 for factor in factors.values())
    assert fitted.history[-1]["weight"] == {"cross-entropy": 1.0, "buy/cross-entropy": 0.5}  # as the schedules say


def test_what_has_no_loss_has_no_factor(data: Split, taught: Knowledge) -> None:
    terms = (StartFrom(), CrossEntropy(), BPR(weight={"start": 1.0, "warmup": 2}))
    training = Training(epochs=2, balance="uncertainty", **FAST)
    fitted = fit(STUDENT, data, terms, knowledge=taught, training=training)
    assert fitted.history[0]["balance"]["bpr"] == 1.0
    assert set(fitted.history[1]["balance"]) == {"cross-entropy", "bpr"}
    plain = fit(STUDENT, data, [CrossEntropy()], training=Training(epochs=1, **FAST))
    assert "balance" not in plain.history[0]


@pytest.mark.parametrize("balance", ["fixed", "uncertainty"])
def test_an_asymmetry_of_what_is_not_measured(balance: Any) -> None:
    with pytest.raises(
        ConfigError, match=f"asymmetry: means nothing to balance: {balance}; use balance: gradient-norm"
    ):
        Training(balance=balance, asymmetry=0.5)
    assert Training(balance=balance, asymmetry=1.0).asymmetry == 1.0
