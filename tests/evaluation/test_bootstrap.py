from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.errors import ConfigError
from recdistill.evaluation import Comparison, compare
from recdistill.evaluation.bootstrap import ends, interval, resampled_means, resampled_ratios

rng = np.random.default_rng(0)
VALUES = rng.random(400)


def test_the_interval_of_a_mean_has_the_normal_width() -> None:
    found = interval(VALUES, resamples=4000)
    half = 1.96 * VALUES.std() / 20
    assert found.mean == pytest.approx(VALUES.mean())
    assert found.low == pytest.approx(VALUES.mean() - half, abs=0.003)
    assert found.high == pytest.approx(VALUES.mean() + half, abs=0.003)
    assert found.spread is None


def test_means_of_users_are_those_of_a_slow_bootstrap() -> None:
    """Users with 1 to 4 contexts and some anonymous ones, drawn whole."""
    users = np.concatenate([np.repeat(np.arange(10), rng.integers(1, 5, 10)), [-1, -1, -1]])
    values = rng.random(len(users))
    groups = [values[users == u] for u in range(10)] + [values[-3:-2], values[-2:-1], values[-1:]]
    draws = np.random.default_rng(5).integers(0, 13, (50, 13), dtype=np.int32)
    expected = [np.concatenate([groups[g] for g in draw]).mean() for draw in draws]
    np.testing.assert_allclose(resampled_means(values, users, 50, 5), expected)


def test_resamples_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recdistill.evaluation.bootstrap._AT_ONCE", 900)
    means = resampled_means(VALUES, None, 301, 0)
    assert len(means) == 301
    assert abs(means.mean() - VALUES.mean()) < 0.005


def test_ratios_of_users_are_those_of_a_slow_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two columns by the same draws; contexts with a whole of 0 do not count; some users are nobody."""
    monkeypatch.setattr("recdistill.evaluation.bootstrap._AT_ONCE", 130)
    own = np.random.default_rng(3)
    users = own.permutation(np.concatenate([np.repeat(np.arange(10), own.integers(1, 5, 10)), [-1, -1, -1]]))
    wholes = own.integers(0, 3, (len(users), 2)).astype(float)
    parts = wholes * own.random(wholes.shape)
    alone = np.flatnonzero(users < 0)
    groups = [np.flatnonzero(users == u) for u in range(10)] + [alone[:1], alone[1:2], alone[2:]]
    draws = np.random.default_rng(5)
    expected = []
    for size in (10, 10, 10):
        for draw in draws.integers(0, 13, (size, 13), dtype=np.int64):
            rows = np.concatenate([groups[g] for g in draw])
            expected.append(parts[rows].sum(0) / wholes[rows].sum(0))
    found = resampled_ratios(parts, wholes, users, resamples=30, seed=5)
    np.testing.assert_allclose(found, expected)


def test_ratios_of_ones_are_means() -> None:
    found = resampled_ratios(VALUES[:, None], np.ones((400, 1)), resamples=4000)
    low, high = ends(found[:, 0])
    same = interval(VALUES, resamples=4000)
    assert (low, high) == pytest.approx((same.low, same.high), abs=0.002)


def test_ratios_of_nothing_have_no_value() -> None:
    assert np.isnan(resampled_ratios(np.zeros((3, 1)), np.zeros((3, 1)), resamples=5)).all()
    assert resampled_ratios(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, dtype=int), resamples=5).shape == (5, 2)


def test_pairing_finds_what_intervals_alone_would_not() -> None:
    better = VALUES + 0.01 + 0.005 * rng.normal(size=400)
    found = compare(better, VALUES)
    assert found.verdict == "better"
    assert found.p == 0
    assert compare(VALUES, better).verdict == "worse"
    assert interval(better).low < interval(VALUES).high
    assert found.difference == pytest.approx((better - VALUES).mean())
    assert found.relative == pytest.approx(found.difference / VALUES.mean())


def test_chance_is_no_clear_difference() -> None:
    found = compare(VALUES, rng.permutation(VALUES))
    assert found.verdict == "no clear difference"
    assert found.p > 0.05


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_model_does_not_beat_itself(values: list[float]) -> None:
    found = compare(values, values, resamples=50)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_turning_the_comparison_around_turns_its_numbers(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    one, other = compare(a, b, resamples=101), compare(b, a, resamples=101)
    assert one.low == pytest.approx(-other.high, abs=1e-12)
    assert one.low - 1e-9 <= one.high
    assert one.p == pytest.approx(other.p)


def test_seeds_are_averaged_context_by_context_first() -> None:
    seeds = np.stack([VALUES + shift for shift in (-0.2, 0.0, 0.2)])
    assert interval(seeds).low == pytest.approx(interval(VALUES).low)
    found = compare(seeds, np.stack([VALUES - 0.1] * 3))
    assert found.low == pytest.approx(0.1)
    assert found.spread == pytest.approx(0.2)
    assert compare(seeds, VALUES).spread == pytest.approx(0.2)
    assert compare(VALUES, seeds).spread == pytest.approx(0.2)
    assert compare(seeds, seeds).spread == pytest.approx(0)
    assert compare(seeds, seeds[:2]).spread == pytest.approx(0.2)


def test_contexts_without_value_are_left_out() -> None:
    gaps = np.where(np.arange(400) % 2, VALUES, np.nan)
    assert compare(gaps, VALUES - 0.5).difference == pytest.approx(0.5)
    assert compare(gaps, VALUES - 0.5).mean == pytest.approx(VALUES[1::2].mean())
    assert interval(gaps).low == pytest.approx(interval(VALUES[1::2]).low)


def test_nothing_to_compare_gives_nan() -> None:
    nothing = np.full(3, np.nan)
    found = compare(nothing, nothing)
    assert np.isnan([found.difference, found.low, found.high, found.p]).all()
    assert found.verdict == "no clear difference"
    assert np.isnan(interval(np.stack([nothing, nothing])).low)


def test_other_contexts_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot pair 3 contexts with 2"):
        compare(np.zeros(3), np.zeros(2))


def test_relative_to_nothing_is_nan() -> None:
    assert np.isnan(Comparison(0.1, 0.0, 0.1, 0.0, 0.2, 0.1, None).relative)
