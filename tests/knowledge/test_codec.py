from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.knowledge.codec import Codec

TINY = np.float32(2.0**-24)


@st.composite
def lists(draw: st.DrawFn) -> tuple[Codec, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    n_items = draw(st.sampled_from([1, 9, 255, 256, 65_535, 65_536, 200_000, 5_000_000, 20_000_000]))
    k = draw(st.integers(1, 23))
    n = draw(st.integers(0, 6))
    kind: Literal["uint8", "float16"] = draw(st.sampled_from(["uint8", "float16"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([0.0, 1e-3, 1.0, 30.0, 1e5]))
    items = rng.integers(0, n_items, (n, k)).astype(np.int32)
    logp = -np.sort(rng.random((n, k)) * spread, axis=1).astype(np.float32)
    listed = np.arange(k) < rng.integers(0, k + 1, (n, 1))
    items[~listed], logp[~listed] = -1, -np.inf
    tail = rng.normal(size=(n, 3)).astype(np.float32)
    confidence = rng.random(n).astype(np.float32)
    return Codec(k, n_items, kind), items, logp, tail, confidence


@given(lists())
@settings(max_examples=200, deadline=None)
def test_round_trip(case: tuple[Codec, np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> None:
    codec, items, logp, tail, confidence = case
    records = codec.encode(items, logp, tail, confidence)
    assert records.shape == (len(items), codec.width)
    got_items, got_logp, got_tail, got_confidence = codec.decode(records)
    np.testing.assert_array_equal(got_items, items)
    listed = items >= 0
    assert np.isneginf(got_logp[~listed]).all()
    with np.errstate(invalid="ignore"):
        steps = np.diff(np.where(listed, got_logp, -1e9), axis=1)
    assert (steps <= 0).all(), "order"
    bounded = np.maximum(logp, -60_000)
    lowest = np.abs(np.where(listed, bounded, 0)).max(1, initial=0)
    highest = np.abs(np.where(listed, bounded, -np.inf).max(1, initial=-np.inf))
    span = np.where(listed.any(1), lowest - np.where(np.isinf(highest), 0, highest), 0)
    levels = (1 << codec.score_bits) - 1
    half_a_level = span / (2 * levels) if codec.scores == "uint8" else 0 * span
    bound = half_a_level * 1.001 + 2.0**-11 * lowest * 1.01 + 2 * TINY
    error = np.abs(np.where(listed, got_logp - bounded, 0)).max(1, initial=0)
    assert (error <= bound).all()
    np.testing.assert_allclose(got_tail, tail, rtol=2**-10, atol=1e-6)
    np.testing.assert_allclose(got_confidence, confidence, atol=2**-11)


@pytest.mark.parametrize("n_items", [65_537, 1 << 17, 1_048_575, 1 << 20, 4_194_303, 1 << 22, 1 << 23, (1 << 24) - 1])
def test_four_bytes_a_pair_for_large_catalogues(n_items: int) -> None:
    assert max(Codec(k, n_items).width / k for k in range(50, 101)) <= 4


def test_small_catalogues_cost_less() -> None:
    assert Codec(50, 60_000).width / 50 < 3.3
    assert Codec(50, 200).width / 50 < 2.3


def test_tails_beyond_float16_are_nothing() -> None:
    codec = Codec(1, 9)
    logp, tail = np.zeros((1, 1), np.float32), np.array([[-1e6, -5e5, -2.5e5]], np.float32)
    records = codec.encode(np.zeros((1, 1), np.int32), logp, tail, np.ones(1, np.float32))
    assert np.isneginf(codec.decode(records)[2]).all()
