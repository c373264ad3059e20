"""RankNet against its formula, with the order and with the teacher's own doubt as target."""

from __future__ import annotations

import numpy as np
import pytest

from recdistill.objectives import RankNet

from .lists.made_up import N, confidence, listed, ready, scene, sigmoid


@pytest.mark.parametrize("temperature", [None, 2.0])
def test_formula(temperature: float | None) -> None:
    at = scene()
    got = ready(RankNet(k=4, temperature=temperature).build()).loss(at.scores, at.targets)
    z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
    for row in range(N):
        first, losses = listed(at.targets, row)[:4], []
        for better, (item, logp) in enumerate(first):
            for other, less in first[better + 1 :]:
                p = 1.0 if temperature is None else sigmoid((logp - less) / temperature)
                q = sigmoid(z[row, item] - z[row, other])
                losses.append(-p * np.log(q) - (1 - p) * np.log(1 - q))
        wanted = confidence(at.targets, row) * float(np.mean(losses)) if losses else 0.0
        assert float(got[row]) == pytest.approx(wanted, rel=1e-5)


def test_unlisted_items_are_below_but_not_ordered() -> None:
    objective = ready(RankNet(k=2, unlisted=5).build())
    at = scene()
    z = at.scores.matrix.requires_grad_()  # type: ignore[attr-defined]
    objective.loss(at.scores, at.targets).sum().backward()  # type: ignore[no-untyped-call]
    for row in range(5, N):
        items = [item for item, _ in listed(at.targets, row)]
        below = np.flatnonzero(z.grad[row].numpy() > 0)  # a step down the gradient lowers their score
        assert set(below) - set(items)
        assert z.grad[row, items[0]] < 0
