"""Likeness of item spaces, against formulas written out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.errors import ConfigError
from recdistill.evaluation.spaces import aligned, linear_cka, nearest_items, plane, shared_neighbours, unit

Values = npt.NDArray[np.float64]


def space(seed: int, n: int = 40, dim: int = 5) -> Values:
    return np.random.default_rng(seed).standard_normal((n, dim))


def turned(vectors: Values, seed: int = 9) -> Values:
    """Rotated and mirrored at random."""
    found: Values = vectors @ np.linalg.qr(space(seed, vectors.shape[1], vectors.shape[1]))[0]
    return found


def slow_cka(x: Values, y: Values) -> float:
    """Unbiased HSIC with n × n kernels, as in the paper."""

    def hsic(k: Values, m: Values) -> float:
        n, ones = len(k), np.ones(len(k))
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        rest = (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (ones @ k @ m @ ones)
        return float((np.trace(k @ m) + rest) / (n * (n - 3)))

    k, m = x @ x.T, y @ y.T
    return hsic(k, m) / float(np.sqrt(hsic(k, k) * hsic(m, m)))


@given(st.integers(0, 50), st.integers(1, 8), st.integers(1, 8))
def test_cka_is_the_formula_with_large_kernels(seed: int, one: int, other: int) -> None:
    x, y = space(seed, 30, one), space(seed + 1, 30, other)
    assert linear_cka(x, y) == pytest.approx(slow_cka(x, y), abs=1e-9)  # which is the same with and without a mean
    assert linear_cka(x, y) == pytest.approx(linear_cka(y, x))


def test_cka_does_not_see_rotation_scale_or_place() -> None:
    x = space(0)
    assert linear_cka(x, 3 * turned(x) + 7) == pytest.approx(1)


def test_unrelated_spaces_have_none_however_many_dimensions() -> None:
    found = [linear_cka(space(seed, 60, 200), space(seed + 100, 60, 200)) for seed in range(20)]
    assert abs(float(np.mean(found))) < 0.05


def test_what_cannot_be_compared() -> None:
    assert np.isnan(linear_cka(np.ones((9, 3)), space(0, 9)))
    with pytest.raises(ConfigError, match="spaces of 9 and 8 items"):
        linear_cka(space(0, 9), space(0, 8))
    with pytest.raises(ConfigError, match="3 items"):
        linear_cka(space(0, 3), space(0, 3))


@given(st.integers(0, 30), st.integers(1, 6))
def test_neighbours_are_those_of_a_full_sort(seed: int, k: int) -> None:
    x = unit(space(seed, 25))
    items = np.array([3, 0, 24])
    expected = [[j for j in np.argsort(-(x @ x[i])) if j != i][:k] for i in items]
    np.testing.assert_array_equal(nearest_items(x, items, k), expected)


def test_neighbours_are_asked_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x, items = unit(space(1)), np.arange(40)
    whole = nearest_items(x, items, 3)
    monkeypatch.setattr("recdistill.evaluation.spaces._CELLS", 100)
    np.testing.assert_array_equal(nearest_items(x, items, 3), whole)


def test_shared_neighbours_of_a_turned_space_are_all() -> None:
    x, items = unit(space(2)), np.arange(40)
    near, turned_near, other = (nearest_items(vectors, items, 5) for vectors in (x, turned(x), unit(space(3))))
    assert shared_neighbours(near, turned_near).tolist() == [1.0] * 40
    chance = shared_neighbours(near, other).mean()
    assert chance == pytest.approx(5 / 39, abs=0.06)


def test_unit_vectors_keep_zeros() -> None:
    found = unit(np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert found.tolist() == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))


def test_the_plane_keeps_what_a_decomposition_keeps() -> None:
    x = space(4)
    points, share = plane(x)
    centred = x - x.mean(0)
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(points), np.abs(left[:, :2] * strength[:2]))
    assert share == pytest.approx((strength[:2] ** 2).sum() / (strength**2).sum())
    assert plane(np.ones((5, 3)))[1] == 0
    line, all_of_it = plane(space(5, dim=1))
    assert line.shape == (40, 2)
    assert all_of_it == pytest.approx(1)


@given(st.integers(0, 50))
def test_alignment_takes_back_a_turn(seed: int) -> None:
    points = space(seed, dim=2)
    points -= points.mean(axis=0)
    np.testing.assert_allclose(aligned(0.2 * turned(points, seed + 1), points), points, atol=1e-9)


def test_no_turn_by_hand_is_better() -> None:
    a, b = (plane(space(seed))[0] for seed in (6, 7))
    best = ((aligned(a, b) - b) ** 2).sum()
    for angle in np.linspace(0, 2 * np.pi, 50):
        for mirror in (1, -1):
            turn = np.array([[np.cos(angle), -np.sin(angle)], [mirror * np.sin(angle), mirror * np.cos(angle)]])
            moved = a @ turn
            scale = max((moved * b).sum() / (moved**2).sum(), 0)
            assert best <= ((scale * moved - b) ** 2).sum() + 1e-9
    assert (aligned(np.zeros((4, 2)), np.ones((4, 2))) == 0).all()
