"""Every form of a table gives the products of the vectors that it stands for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recdistill.compression import write_bundle
from recdistill.compression.product import product_code
from recdistill.errors import BundleError
from recdistill.models.sasrec import SASRec
from recdistill.serving.manifest import Manifest
from recdistill.serving.place import Place
from recdistill.serving.tables import CodedTable, DenseTable, Table, load_table
from tests.synthetic import tiny_split

VECTORS = np.random.default_rng(0).normal(size=(5_000, 12)).astype(np.float32)
CODE = product_code(VECTORS, 3, words=32)
DECODED = CODE.unpack()
TABLES = {
    "dense": (DenseTable(VECTORS), VECTORS),
    "coded": (CodedTable(CODE.codes, CODE.codebooks.astype(np.float32)), DECODED),
}


@pytest.mark.parametrize("name", TABLES)
def test_products_are_those_of_the_vectors(name: str) -> None:
    table, vectors = TABLES[name]
    queries = np.random.default_rng(1).normal(size=(3, 12)).astype(np.float32)
    np.testing.assert_allclose(table.scores(queries[0]), vectors @ queries[0], atol=1e-4)
    np.testing.assert_allclose(table.batch(queries), queries @ vectors.T, atol=1e-4)
    items = np.array([[7, 0], [4_999, 7]])
    np.testing.assert_array_equal(table.rows(items), vectors[items])
    np.testing.assert_array_equal(table.rows(items[0]), vectors[items[0]])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(table.cosines(vectors[7]), unit @ unit[7], atol=1e-4)


def test_a_vector_of_zeros_is_like_nothing() -> None:
    zeros = np.zeros((4, 2), np.float32)
    for table in (DenseTable(zeros), CodedTable(np.zeros((4, 1), np.uint8), np.zeros((1, 1, 2), np.float32))):
        np.testing.assert_array_equal(table.cosines(np.ones(2, np.float32)), 0)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    split = tiny_split()
    path: Path = write_bundle(SASRec(dim=8, max_length=4).build(split), split.dataset, tmp_path / "b", vectors="pq")
    return path


def test_a_small_coded_table_is_unpacked_and_a_large_one_looked_up(bundle: Path) -> None:
    manifest = Manifest.read(Place.open(bundle))
    small: Table = load_table(Place.open(bundle), manifest)
    large: Table = load_table(Place.open(bundle), manifest, unpacked=0)
    assert isinstance(small, DenseTable)
    assert isinstance(large, CodedTable)
    query = np.arange(8, dtype=np.float32)
    np.testing.assert_allclose(small.scores(query), large.scores(query), rtol=1e-4, atol=1e-5)


def test_codes_and_codebooks_that_do_not_fit_are_refused(bundle: Path) -> None:
    manifest = Manifest.read(Place.open(bundle))
    codes, books = np.load(bundle / "codes.npy"), np.load(bundle / "codebooks.npy")
    np.save(bundle / "codebooks.npy", books[:, :, :2])
    with pytest.raises(BundleError, match="2 parts of 2 numbers are no vectors of 8"):
        load_table(Place.open(bundle), manifest)
    np.save(bundle / "codebooks.npy", books[:, :3])
    with pytest.raises(BundleError, match="names codewords that do not exist"):
        load_table(Place.open(bundle), manifest)
    np.save(bundle / "codebooks.npy", books)
    np.save(bundle / "codes.npy", codes[:-1])
    with pytest.raises(BundleError, match="expected"):
        load_table(Place.open(bundle), manifest)
