"""Approximate search: kept only if it finds what the exact search finds."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.compression import graph_search, write_bundle
from recdistill.errors import BundleError
from recdistill.models.mf import MF
from recdistill.serving import Bundle, Items
from recdistill.serving.ann import SearchedTable, lifted
from recdistill.testing import tiny_split

SPLIT = tiny_split(n_users=60, n_items=1_500)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = MF(dim=8).build(SPLIT, seed=1)
    written: Path = write_bundle(
        model, SPLIT.dataset, tmp_path_factory.mktemp("b") / "bundle", ann=True, users=True, tower=True
    )
    return written


@given(st.integers(0, 100), st.booleans())
def test_the_nearest_lifted_vector_has_the_highest_product(seed: int, biased: bool) -> None:
    random = np.random.default_rng(seed)
    vectors = (random.normal(size=(50, 4)) * random.lognormal(size=(50, 1))).astype(np.float32)
    bias = random.normal(size=50).astype(np.float32) if biased else None
    query = random.normal(size=4).astype(np.float32)
    ready = lifted(vectors, bias)
    np.testing.assert_allclose(np.linalg.norm(ready, axis=1), 1, rtol=1e-4)
    expected = vectors @ query + (0 if bias is None else bias)
    got = ready @ np.concatenate([query, [biased, 0]])
    np.testing.assert_array_equal(np.argsort(-got)[:3], np.argsort(-expected)[:3])


def test_its_recall_stands_in_the_manifest(path: Path) -> None:
    bundle = Bundle.open(path)
    assert isinstance(bundle.scorer.table, SearchedTable)
    assert bundle.manifest.checks["ann_recall_at_10"] >= 0.98
    exact, hits = bundle.scorer.table._table, 0
    for user in range(60):
        found, scores = bundle.recommend_indices(np.zeros(0, np.int64), 10, user=f"u{user}")
        assert not np.isin(found, SPLIT.dataset.log[user]).any()
        vector = bundle.users.vector(user)
        products = exact.scores(vector) + bundle.scorer.bias
        np.testing.assert_allclose(scores, products[found], rtol=1e-4, atol=1e-5)
        products[SPLIT.dataset.log[user]] = -np.inf
        hits += len(np.intersect1d(found, np.argsort(-products)[:10]))
    assert hits / 600 >= 0.95


def test_filters_long_lists_and_new_items_are_exact(path: Path) -> None:
    bundle = Bundle.open(path)
    assert len(bundle.recommend(["i1"], 1_499)) == 1_499
    assert [one.item for one in bundle.recommend(["i1"], where=Items("i7"))] == ["i7"]
    bundle.add_item("new", "item number 3")
    assert len(bundle.recommend(["new"], 1_501)) == 1_500
    assert len(bundle.similar("i3")) == 10


def test_a_graph_that_misses_too_much_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(graph_search, "_RECALL", 1.1)
    model = MF(dim=8).build(SPLIT, seed=1)
    bundle = Bundle.open(write_bundle(model, SPLIT.dataset, tmp_path / "b", ann=True))
    assert "graph.usearch" not in bundle.place.sizes
    assert "the bundle searches exactly" in caplog.text
    assert "ann_recall_at_10" in bundle.manifest.checks


def test_without_usearch_the_search_is_exact(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    bundle = Bundle.open(path)
    assert not isinstance(bundle.scorer.table, SearchedTable)
    assert len(bundle.recommend(["i1"])) == 10


def test_a_broken_graph_is_refused(path: Path) -> None:
    file = path / "graph.usearch"
    whole = file.read_bytes()
    file.write_bytes(b"\0" * len(whole))
    with pytest.raises(BundleError, match="cannot be read"):
        Bundle.open(path, verify=False)
    file.write_bytes(whole)


def test_only_vectors_can_be_searched(tmp_path: Path) -> None:
    from recdistill.models.popularity import Popularity

    with pytest.raises(BundleError, match="has no vectors to search among"):
        write_bundle(Popularity().build(SPLIT), SPLIT.dataset, tmp_path / "b", ann=True)
