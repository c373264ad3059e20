from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recdistill.compression.product import product_code
from recdistill.errors import ConfigError

MATRICES = arrays(np.float32, st.tuples(st.integers(1, 30), st.just(6)), elements=st.floats(-100, 100, width=16))


def naive_nearest(rows: np.ndarray, book: np.ndarray) -> np.ndarray:
    apart = rows[:, None].astype(np.float64) - book[None].astype(np.float64)
    nearest: np.ndarray = np.square(apart).sum(axis=2).min(axis=1)
    return nearest


@given(MATRICES, st.sampled_from([1, 2, 3, 6]), st.integers(1, 8))
def test_every_part_is_replaced_by_its_nearest_codeword(matrix: np.ndarray, parts: int, words: int) -> None:
    code = product_code(matrix, parts, words=words)
    assert code.codes.shape == (len(matrix), parts)
    assert code.codebooks.shape[1] <= words
    columns, got = (array.reshape(len(matrix), parts, -1) for array in (matrix, code.unpack()))
    for part in range(parts):
        used = code.codebooks[part, : code.codes[:, part].max() + 1]
        error = np.square((got - columns)[:, part], dtype=np.float64).sum(axis=1)
        assert (error <= naive_nearest(columns[:, part], used) + 0.1).all()  # float32 distances of values up to 100


@given(MATRICES, st.sampled_from([1, 2, 3, 6]))
def test_what_was_decoded_is_encoded_again_without_error(matrix: np.ndarray, parts: int) -> None:
    once = product_code(matrix, parts, words=4).unpack()
    np.testing.assert_array_equal(product_code(once, parts, words=4).unpack(), once)


def test_more_words_and_more_parts_err_less() -> None:
    matrix = np.random.default_rng(0).normal(size=(2_000, 16)).astype(np.float32)

    def error(parts: int, words: int) -> float:
        return float(np.square(product_code(matrix, parts, words=words).unpack() - matrix).mean())

    assert error(4, 256) < error(4, 16) < error(4, 2) < matrix.var()
    assert error(8, 64) < error(4, 64) < error(2, 64)
    assert error(16, 256) < 0.001


def test_few_rows_and_few_values_are_kept_exactly() -> None:
    matrix = np.random.default_rng(0).integers(-3, 4, (500, 8)).astype(np.float32)
    np.testing.assert_array_equal(product_code(matrix, 8).unpack(), matrix)
    np.testing.assert_array_equal(product_code(np.zeros((3, 4), np.float32), 2).unpack(), 0)


def test_many_rows_are_fitted_on_a_sample_and_equal_seeds_give_equal_codes() -> None:
    matrix = np.random.default_rng(0).normal(size=(70_000, 2)).astype(np.float32)
    one, other = product_code(matrix, 1, words=8), product_code(matrix, 1, words=8)
    np.testing.assert_array_equal(one.codes, other.codes)
    np.testing.assert_array_equal(one.codebooks, other.codebooks)
    assert np.square(one.unpack() - matrix).sum(axis=1).mean() < 0.6


def test_parts_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="4 parts do not divide 6 dimensions; use one of 1, 2, 3, 6"):
        product_code(np.zeros((3, 6), np.float32), 4)
