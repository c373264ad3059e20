"""Weights against their formulas, and where a teacher is trusted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives.lists.samplers import Beside, Top, Unlisted
from recdistill.objectives.lists.weights import (
    Blend,
    Consistency,
    Discrepancy,
    Position,
    Probability,
    StudentError,
    Trust,
    Unpopularity,
    Weight,
    trusted,
)

from .made_up import N, listed, rank, scene, seen, unlisted_logp


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(initial=-np.inf))
    return np.asarray(powers / powers.sum())


def by_hand(
    weight: Weight, z: np.ndarray, items: np.ndarray, logp: np.ndarray, ranks: np.ndarray, out: set[int]
) -> np.ndarray:
    match weight:
        case Position(scale):
            return np.asarray(np.exp(-ranks / scale))
        case Probability(temperature):
            return softmax(logp / temperature)
        case Discrepancy(scale):
            mine = np.array([rank(z, item, out) for item in items])
            return np.asarray(np.tanh(np.maximum(mine - ranks, 0) / scale))
        case Consistency(k):
            return np.array([float(rank(z, item, out) < k) for item in items])
        case StudentError(temperature):
            return np.asarray(np.abs(softmax(logp / temperature) - softmax(z[items] / temperature)))
        case Unpopularity(power):
            return np.asarray((1.0 + items) ** -power)
    raise AssertionError(weight)


@pytest.mark.parametrize(
    "weight",
    [Position(2.0), Probability(1.5), Discrepancy(3.0), Consistency(4), StudentError(2.0), Unpopularity(0.7)],
    ids=lambda weight: type(weight).__name__,
)
@pytest.mark.parametrize("m", [1, 3])
def test_formula(weight: Weight, m: int) -> None:
    at = scene(m=m)
    torch.manual_seed(0)
    found = Beside(Top(), Unlisted(3))(at)
    scores = at.scores.of(found.items)
    got = weight(at, found, scores)
    for row in range(N):
        real = found.real[row].numpy()
        values = (value[row].numpy()[real] for value in (found.items, found.logp, found.ranks))
        items, logp, ranks = values
        z = at.scores.matrix[row].numpy()  # type: ignore[attr-defined]
        assert np.allclose(got[row].numpy()[real], by_hand(weight, z, items, logp, ranks, seen(at.targets, row)))


def test_blend() -> None:
    at = scene()
    found = Top()(at)
    scores = at.scores.of(found.items)
    parts = ((0.3, Position(1.0)), (0.5, Probability()), (0.1, Consistency(3)))
    got = Blend(parts)(at, found, scores)
    for row in range(N):
        real, wanted = found.real[row].numpy(), 0.0
        for factor, weight in parts:
            values = weight(at, found, scores)[row].numpy()[real]
            wanted = wanted + factor * values / max(values.sum(), 1e-12)
        assert np.allclose(got[row].numpy()[real], wanted)
    assert Blend(parts).dense
    assert not Blend(parts[:2]).dense
    plain = Blend(parts[:2], parts[2:])
    assert plain.dense
    wanted_rest = 0.1 * Consistency(3)(at, found, scores) * found.ordered
    torch.testing.assert_close(plain(at, found, scores), Blend(parts[:2])(at, found, scores) + wanted_rest)


@pytest.mark.parametrize("mode", ["all", "listed", "better", "likelier"])
@pytest.mark.parametrize("m", [1, 3])
def test_trust(mode: Trust, m: int) -> None:
    values = set()
    for seed in range(4):
        at = scene(seed, m=m)
        got = trusted(mode, at, 2.0)
        for row in range(N):
            order = [item for item, _ in listed(at.targets, row)]
            labels = [label for label in at.targets.labels[row].tolist() if label >= 0]
            z, out = at.scores.matrix[row].numpy(), seen(at.targets, row)  # type: ignore[attr-defined]
            good = []
            for label in labels:
                if mode == "all":
                    good.append(1.0)
                elif mode == "listed":
                    good.append(float(label in order))
                elif mode == "likelier":
                    known = dict(listed(at.targets, row))
                    theirs = max(known.get(label, unlisted_logp(at.targets, row)), -50.0)
                    good.append(float(np.tanh(max(theirs - float(np.log(softmax(z)[label])), 0) / 2.0)))
                else:
                    ahead = rank(z, label, out) - order.index(label) if label in order else 0
                    good.append(float(np.tanh(max(ahead, 0) / 2.0)))
            wanted = float(np.mean(good)) if labels else 1.0
            assert float(got[row]) == pytest.approx(wanted, rel=1e-5)
            values.add(round(wanted, 3))
    assert mode == "all" or len(values) > 1
