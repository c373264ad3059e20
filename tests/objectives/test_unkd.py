"""UnKD against its formula, and its groups."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from recdistill.objectives import UnKD
from recdistill.objectives.unkd import strata

from .lists.made_up import ITEMS, N, confidence, listed, ready, scene, sigmoid


def test_formula() -> None:
    at = scene()
    objective = UnKD(groups=2, pairs=4, scale=3.0).build()
    ready(objective)
    objective.groups = torch.arange(ITEMS) % 2
    torch.manual_seed(0)
    got = objective.loss(at.scores, at.targets)
    torch.manual_seed(0)
    known, z = at.known, at.scores.matrix.numpy()  # type: ignore[attr-defined]
    wanted, drawn = np.zeros(N), 0
    for group in range(2):
        chances = np.zeros((N, known.items.shape[1]), dtype=np.float32)
        for row in range(N):
            inside = [place for place, (item, _) in enumerate(listed(at.targets, row)) if item % 2 == group]
            chances[row, inside] = np.exp(-np.arange(len(inside)) / 3.0)
            if len(inside) < 2:
                chances[row] = 1.0
        pairs = torch.multinomial(torch.from_numpy(chances), 8, replacement=True).view(N, 4, 2)
        for row in range(N):
            if (chances[row] == 1.0).all():
                continue
            items = [item for item, _ in listed(at.targets, row)]
            losses = []
            for one, other in pairs[row].tolist():
                if one != other:
                    better, worse = items[min(one, other)], items[max(one, other)]
                    assert better % 2 == worse % 2 == group
                    losses.append(-np.log(sigmoid(z[row, better] - z[row, worse])))
            drawn += len(losses)
            wanted[row] += confidence(at.targets, row) * float(np.mean(losses)) / 2 if losses else 0.0
    assert drawn
    assert np.allclose(got.numpy(), wanted, rtol=1e-5)


@given(counts=st.lists(st.integers(0, 50), min_size=1, max_size=40), groups=st.integers(1, 5))
def test_strata(counts: list[int], groups: int) -> None:
    popularity = torch.tensor(counts).float()
    numbers = strata(popularity, groups)
    assert 0 <= int(numbers.min()) <= int(numbers.max()) < groups
    order = popularity.argsort(descending=True, stable=True)
    assert (numbers[order].diff() >= 0).all()  # more popular items are in earlier groups
    share, largest = sum(counts) / groups, max(counts)
    for number in range(groups):
        events = float(popularity[numbers == number].sum())
        assert events <= share + largest + 1e-3
