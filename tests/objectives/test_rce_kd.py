"""RCE-KD against its formula, where the whole ranking is sampled, and what is sampled where not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives import RCEKD

from .lists.made_up import N, confidence, listed, ready, scene, seen, unlisted_logp


def divergence(items: list[int], z: np.ndarray, teacher: dict[int, float], rest: float, t: float) -> float:
    if not items:
        return 0.0
    p, q = (np.exp(np.array(values) / t) for values in ([teacher.get(i, rest) for i in items], z[items]))
    if not p.sum():  # the teacher gives none of them any probability
        return 0.0
    p, q = p / p.sum(), q / q.sum()
    return t * t * float(sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0))


@pytest.mark.parametrize("m", [1, 3])
def test_formula(m: int) -> None:
    at = scene(m=m)
    objective = ready(RCEKD(k=4, pool=6, sampled=6, beta=2.0, temperature=1.5).build())
    got = objective.loss(at.scores, at.targets)
    z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
    for row in range(N):
        teacher, rest = dict(listed(at.targets, row)), max(unlisted_logp(at.targets, row), -1e30)
        first = list(teacher)[:4]
        pool = [item for item in np.argsort(-z[row]).tolist() if item not in seen(at.targets, row)][:6]
        missing = [item for item in first if item not in pool]
        weight = np.exp(-2.0 * np.mean([item in pool for item in first])) if first else 1.0
        wanted = (1 - weight) * divergence(pool[:4], z[row], teacher, rest, 1.5)
        wanted += weight * divergence(pool + missing, z[row], teacher, rest, 1.5)
        if not teacher:
            wanted = 0.0
        assert float(got[row]) == pytest.approx(confidence(at.targets, row) * wanted, rel=1e-5, abs=1e-9)


def test_sampled_is_what_stands_above_the_teachers_items() -> None:
    objective = RCEKD(sampled=1, scale=0.5).build()
    pool = torch.arange(6).expand(4000, -1)
    listed_items = torch.tensor([[1, 3, 9, -1]]).expand(4000, -1)
    torch.manual_seed(0)
    drawn = objective._sampled(pool, listed_items)[:, 0]
    weights = np.exp((np.array([2, 2, 1, 1, 0, 0]) + 1) / 0.5)
    assert np.allclose(np.bincount(drawn.numpy(), minlength=6) / 4000, weights / weights.sum(), atol=0.03)
