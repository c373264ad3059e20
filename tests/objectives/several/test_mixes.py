"""Shares of several teachers against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives.lists import Scene
from recdistill.objectives.several import Confidence, LabelConfidence, Margin, Mean
from recdistill.objectives.several.mixes import entropy, gains, margin

from ..lists.made_up import ITEMS, K, N, listed, student, unlisted_logp
from ..naive import made_up_targets

NAMES = ("large", "small", "odd")


def scenes(seed: int = 0, m: int = 1) -> list[Scene]:
    targets = made_up_targets(N, ITEMS, K, seed=seed, teachers=NAMES, m=m)
    return [Scene(student(seed=seed), targets.rankings[name], targets, torch.ones(ITEMS)) for name in NAMES]


def answered(found: list[Scene]) -> torch.Tensor:
    return torch.stack([(s.known.confidence > 0) & ~s.known.logp[:, 0].isneginf() for s in found], dim=1)


def known(at: Scene, row: int) -> tuple[dict[int, float], float]:
    """Listed items with their log-probabilities, and the log-probability of each that is not listed."""
    targets = type(at.targets)(at.targets.labels, at.targets.weights, {"teacher": at.known})
    return dict(listed(targets, row)), unlisted_logp(targets, row)


def test_entropy_and_margin() -> None:
    for scene in scenes():
        rows = zip(entropy(scene).tolist(), margin(scene).tolist(), strict=True)
        for row, (spread, lead) in enumerate(rows):
            logp, rest = known(scene, row)
            whole = np.array([*logp.values(), *[rest] * (ITEMS - len(logp))])
            if not logp:
                continue  # no answer: nobody looks
            p = np.exp(whole[np.isfinite(whole)])
            assert spread == pytest.approx(-(p * np.log(p)).sum(), rel=1e-4)
            first, second = [*logp.values()][:2]
            assert lead == pytest.approx(first - second, rel=1e-5)


@pytest.mark.parametrize("m", [1, 3])
def test_shares(m: int) -> None:
    found = scenes(m=m)
    spoke = answered(found)
    rows = range(N)
    mean, confidence, margins, label = (
        mix(found, spoke).numpy() for mix in (Mean(), Confidence(0.5), Margin(2.0), LabelConfidence())
    )
    for row in rows:
        who = [t for t in range(len(NAMES)) if spoke[row, t]]
        assert mean[row].tolist() == [float(t in who) for t in range(len(NAMES))]
        if not who:
            continue
        weights = np.exp([-0.5 * float(entropy(found[t])[row]) for t in who])
        assert np.allclose(confidence[row][who], weights / weights.sum(), rtol=1e-5)
        weights = np.exp([2.0 * float(margin(found[t])[row]) for t in who])
        assert np.allclose(margins[row][who], weights / weights.sum(), rtol=1e-5)
        labels = [label for label in found[0].targets.labels[row].tolist() if label >= 0]
        if not labels or len(who) == 1:
            assert label[row].tolist() == mean[row].tolist()
            continue
        costs = []
        for t in who:
            logp, rest = known(found[t], row)
            costs.append(np.exp(-np.mean([max(logp.get(one, rest), -50.0) for one in labels])))
        wanted = (1 - np.array(costs) / sum(costs)) / (len(who) - 1)
        assert np.allclose(label[row][who] / label[row].sum(), wanted, atol=1e-5)


@pytest.mark.parametrize("m", [1, 3])
def test_gains(m: int) -> None:
    found = scenes(seed=3, m=m)
    got = gains(found)
    seen = set()
    for row in range(N):
        labels = [label for label in found[0].targets.labels[row].tolist() if label >= 0]
        for column, scene in enumerate(found):
            order = [*known(scene, row)[0]]
            each = [1 / np.log2(order.index(one) + 2) if one in order else 0.0 for one in labels]
            wanted = float(np.mean(each)) if each else float("nan")
            assert float(got[row, column]) == pytest.approx(wanted, nan_ok=True)
            seen.add(wanted)
    assert len(seen) > 2
