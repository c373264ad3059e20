"""The scan in int8: never off by more than it says, and the lists it leads to are those of a full sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.serving.scan import Scan
from recdistill.serving.tables import DenseTable, ScannedTable, Table, Wanted

DIMS = st.sampled_from([1, 3, 16, 31, 48, 64, 100, 129, 300])


def codes_of(seed: int, n: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scales = random.lognormal(sigma=1.0, size=n).astype(np.float32)
    return random.integers(-127, 128, (n, dim)).astype(np.int8), scales


@given(st.integers(0, 1000), st.integers(1, 700), DIMS, st.sampled_from([1e-6, 1.0, 1e6]))
def test_no_product_is_off_by_more_than_the_bound(seed: int, n: int, dim: int, size: float) -> None:
    codes, scales = codes_of(seed, n, dim)
    vectors = codes.astype(np.float64) * scales[:, None]
    longest = float(np.linalg.norm(vectors, axis=1).max())
    scan = Scan(codes, scales, longest)
    query = (np.random.default_rng(seed + 1).standard_cauchy(dim) * size).astype(np.float32)
    off = np.abs(scan.near(query) - vectors @ query.astype(np.float64)).max()
    assert off <= scan.error(query) < 0.2 * longest * np.linalg.norm(query) * max(dim, 16) ** 0.5
    assert scan.near(np.zeros(dim, np.float32)).tolist() == [0.0] * n


def tables(seed: int, n: int, dim: int) -> dict[str, tuple[Table, np.ndarray]]:
    """Every scanned form with the vectors it stands for; some are zero, some short, some long."""
    codes, scales = codes_of(seed, n, dim)
    scales[:: max(n // 7, 1)] = 0
    vectors = codes.astype(np.float32) * scales[:, None]
    half = (vectors / 127).astype(np.float16)
    return {
        "int8": (ScannedTable(codes, scales), vectors),
        "float16": (ScannedTable(half, None), half.astype(np.float32)),
        "float32": (ScannedTable(vectors, None), vectors),
    }


@pytest.mark.parametrize("form", ["int8", "float16", "float32"])
@settings(max_examples=40)
@given(data=st.data())
def test_the_best_are_those_of_a_full_sort(form: str, data: st.DataObject) -> None:
    n, dim = data.draw(st.integers(1, 3_000)), data.draw(DIMS)
    seed = data.draw(st.integers(0, 1000))
    table, vectors = tables(seed, n, dim)[form]
    random = np.random.default_rng(seed + 1)
    query = random.normal(size=dim).astype(np.float32)
    bias = random.normal(size=n).astype(np.float32) if data.draw(st.booleans()) else None
    share = data.draw(st.sampled_from([None, 0.0, 0.01, 0.5, 1.0]))
    allowed = None if share is None else random.random(n) < share
    hidden = random.integers(0, n, data.draw(st.integers(0, 5))) if data.draw(st.booleans()) else None
    wanted = Wanted(data.draw(st.sampled_from([1, 10, 100, 1000])), allowed, hidden)

    items, scores = table.best(query, wanted, bias)
    expected_items, expected = DenseTable(vectors).best(query, wanted, bias)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-3 * float(np.abs(vectors).max(initial=1)))
    assert len(items) == len(set(items.tolist()))
    assert allowed is None or allowed[items].all()
    assert hidden is None or not np.isin(items, hidden).any()
    if form == "int8" and len(items):
        assert np.mean(items == expected_items) > 0.99 or len(np.unique(expected)) < len(expected)

    item = int(random.integers(n))
    _, alike = table.nearest(vectors[item], wanted)
    np.testing.assert_allclose(alike, DenseTable(vectors).nearest(vectors[item], wanted)[1], atol=1e-4)


def test_whole_rows_and_batches_are_exact() -> None:
    for table, vectors in tables(0, 5_000, 20).values():
        queries = np.random.default_rng(2).normal(size=(3, 20)).astype(np.float32)
        np.testing.assert_allclose(table.batch(queries), queries @ vectors.T, rtol=1e-3, atol=1e-2)
        np.testing.assert_allclose(table.scores(queries[0]), vectors @ queries[0], rtol=1e-3, atol=1e-2)
        np.testing.assert_array_equal(table.rows(np.array([[3, 4]])), vectors[[[3, 4]]])
        np.testing.assert_allclose(table.cosines(vectors[7]), DenseTable(vectors).cosines(vectors[7]), atol=1e-5)
