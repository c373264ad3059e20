"""DKD against its formula."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from recdistill.objectives import DKD

from .lists.made_up import N, confidence, listed, ready, scene


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    return float(sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0))


@pytest.mark.parametrize("target", ["label", "list"])
@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("k", [None, 3])
def test_formula(target: Literal["label", "list"], m: int, k: int | None) -> None:
    hits = 0
    for seed in range(3):
        at = scene(seed, m=m)
        objective = ready(DKD(target=target, alpha=0.7, beta=3.0, temperature=2.0, k=k).build())
        got = objective.loss(at.scores, at.targets)
        z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
        for row in range(N):
            teacher = listed(at.targets, row)
            if not teacher:
                assert not got[row]
                continue
            items = [item for item, _ in teacher][:k]
            powers = np.exp(np.array([logp for _, logp in teacher]) / 2.0)
            tail = np.exp(float(at.known.tails[2.0][row])) + powers[len(items) :].sum()
            student = np.exp(z[row] / 2.0)
            p = np.append(powers[: len(items)], tail)
            q = np.append(student[items], student.sum() - student[items].sum())
            p, q = p / p.sum(), q / q.sum()
            labels = set(at.targets.labels[row].tolist())
            inside = np.append([target == "list" or item in labels for item in items], False)
            hits += bool(inside.any())
            two = [np.array([values[inside].sum(), values[~inside].sum()]) for values in (p, q)]
            kept = inside if target == "list" else ~inside
            wanted = 0.7 * divergence(*two)
            if p[kept].sum():
                wanted += 3.0 * divergence(p[kept] / p[kept].sum(), q[kept] / q[kept].sum())
            wanted *= 4.0 * confidence(at.targets, row)
            assert float(got[row]) == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert hits
