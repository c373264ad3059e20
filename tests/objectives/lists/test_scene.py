"""What parts see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recdistill.objectives.lists.scene import Scene, gumbel

from .made_up import ITEMS, N, listed, rank, scene, seen


def of_a_history() -> Scene:
    """One label, and some items before it."""
    at, random = scene(), np.random.default_rng(0)
    history = torch.from_numpy(random.integers(-1, ITEMS, (N, 5)))
    return replace(at, targets=replace(at.targets, history=history))


@pytest.mark.parametrize("at", [scene(m=4), of_a_history()], ids=["labels", "history"])
def test_what_is_seen(at: Scene) -> None:
    labels = at.targets.labels
    labels[:, -1] = labels[:, 0]  # twice the same
    for row in range(N):
        found = [item for item in at.seen[row].tolist() if item >= 0]
        assert len(found) == len(set(found))
        assert set(found) == seen(at.targets, row)


@pytest.mark.parametrize("at", [scene(m=4), of_a_history()], ids=["labels", "history"])
def test_the_students_ranking_among_what_is_not_seen(at: Scene) -> None:
    z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
    ranks, top = at.student_ranks(at.known.items), at.student_top(ITEMS)
    for row in range(N):
        out = seen(at.targets, row)
        left = [item for item in np.argsort(-z[row]).tolist() if item not in out]
        assert top[row].tolist() == left + [-1] * (ITEMS - len(left))
        assert ranks[row].tolist() == [rank(z[row], item, out) for item in at.known.items[row].tolist()]
        assert int(at.lengths[row]) == len(listed(at.targets, row))


def test_gumbel() -> None:
    torch.manual_seed(0)
    noise = gumbel(torch.Size([100, 200]), torch.device("cpu")).double()
    assert noise.isfinite().all()
    assert abs(float(noise.mean()) - 0.5772) < 0.03
    assert abs(float(noise.var()) - np.pi**2 / 6) < 0.06
