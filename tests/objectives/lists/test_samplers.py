"""Which items are picked, how often, and in which order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives.lists.samplers import Beside, ByRank, Misranked, Sampler, StudentTop, Top, Unlisted
from recdistill.objectives.lists.scene import NEVER, Picked, Scene

from .made_up import ITEMS, K, N, listed, rank, repeated, scene, seen, unlisted_logp

SAMPLERS: list[Sampler] = [
    Top(),
    Top(3),
    Top(50),
    ByRank(3, 2.0),
    ByRank(50, 2.0),
    Misranked(3, 5.0),
    Misranked(3, 5.0, over=True),
    StudentTop(4, 8, 3.0),
    StudentTop(40, 30, 3.0),
    Unlisted(6),
    Unlisted(6, 0.5),
    Beside(ByRank(3, 2.0), Unlisted(4)),
]


@pytest.mark.parametrize("pick", SAMPLERS, ids=str)
@pytest.mark.parametrize("m", [1, 3])
def test_what_holds_for_all(pick: Sampler, m: int) -> None:
    at = scene(m=m)
    torch.manual_seed(0)
    found = pick(at)
    torch.manual_seed(0)
    assert torch.equal(found.items, pick(at).items)
    assert not (found.ordered & ~found.real).any()
    assert not found.items[~found.real].any()
    assert (found.logp[~found.real] == NEVER).all()
    for row in range(N):
        teacher = listed(at.targets, row)
        order = [item for item, _ in teacher]
        items = found.items[row][found.real[row]].tolist()
        assert len(set(items)) == len(items)
        for column in torch.nonzero(found.real[row])[:, 0].tolist():
            item, logp = int(found.items[row, column]), float(found.logp[row, column])
            if item in order:
                assert found.ranks[row, column] == order.index(item)
                assert logp == pytest.approx(teacher[order.index(item)][1])
            else:
                assert found.ranks[row, column] == len(order)
                assert logp == pytest.approx(max(unlisted_logp(at.targets, row), NEVER), rel=1e-5)
                assert item not in seen(at.targets, row)
        ordered = found.ranks[row][found.ordered[row]].tolist()
        assert ordered == sorted(ordered)
        assert all(place < len(order) for place in ordered)


def test_top() -> None:
    at = scene()
    for row in range(N):
        items = Top(3)(at).items[row][Top(3)(at).real[row]].tolist()
        assert items == [item for item, _ in listed(at.targets, row)[:3]]
    assert torch.equal(Top()(at).items, Top(50)(at).items)
    assert Top()(at).items.shape == (N, K)


def often(pick: Sampler, at: Scene, row: int, times: int = 1500) -> np.ndarray:
    """Share of draws in which each item is picked at a position."""
    torch.manual_seed(1)
    found: Picked = pick(repeated(at, row, times))
    return np.bincount(found.items[found.real].numpy(), minlength=ITEMS) / times


def expected(weights: dict[int, float]) -> np.ndarray:
    """Of one draw."""
    out = np.zeros(ITEMS)
    for item, weight in weights.items():
        out[item] = weight / sum(weights.values())
    return out


ROW = 5


def test_by_rank() -> None:
    at = scene()
    wanted = expected({item: np.exp(-place / 2.0) for place, (item, _) in enumerate(listed(at.targets, ROW))})
    assert np.allclose(often(ByRank(1, 2.0), at, ROW), wanted, atol=0.05)
    two = often(ByRank(2, 2.0), at, ROW)  # without replacement
    p = wanted[wanted > 0]
    pairs = p + sum(p[i] * np.where(np.arange(len(p)) == i, 0, p) / (1 - p[i]) for i in range(len(p)))
    assert np.allclose(np.sort(two[wanted > 0]), np.sort(pairs), atol=0.05)


@pytest.mark.parametrize("over", [False, True])
def test_misranked(over: bool) -> None:
    at = scene(m=3)
    z = at.scores.matrix.numpy()  # type: ignore[attr-defined]
    for row in (ROW, 6, 7):
        weights = {}
        for place, (item, _) in enumerate(listed(at.targets, row)):
            off = rank(z[row], item, seen(at.targets, row)) - place
            weights[item] = np.tanh(max(-off if over else off, 0) / 4.0)
        wanted = expected(weights) if any(weights.values()) else np.zeros(ITEMS)
        assert np.allclose(often(Misranked(1, 4.0, over), at, row), wanted, atol=0.05)


def test_student_top() -> None:
    at = scene(m=3)
    z = at.scores.matrix[ROW].numpy()  # type: ignore[attr-defined]
    left = [item for item in np.argsort(-z).tolist() if item not in seen(at.targets, ROW)][:4]
    wanted = expected({item: np.exp(-place / 2.0) for place, item in enumerate(left)})
    assert np.allclose(often(StudentTop(1, 4, 2.0), at, ROW), wanted, atol=0.05)


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_unlisted(power: float) -> None:
    at = scene(m=3)
    out = {item for item, _ in listed(at.targets, ROW)} | set(at.targets.labels[ROW].tolist())
    got = often(Unlisted(1, power), at, ROW, 3000)
    everything = np.array([(item + 1.0) ** power for item in range(ITEMS)])
    wanted = np.where([item in out for item in range(ITEMS)], 0, everything / everything.sum())
    assert np.allclose(got, wanted, atol=0.04)


def test_needs() -> None:
    assert [pick.dense for pick in (Top(), Misranked(1, 1.0), Beside(Top(), Misranked(1, 1.0)))] == [False, True, True]
    assert [pick.tails for pick in (Top(), Unlisted(1), Beside(Top(), Unlisted(1)))] == [False, True, True]
    assert not Beside(Top(), Top()).dense
