from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recdistill.compression.quantise import pack, pack_nibbles
from recdistill.compression.storage import Storage, storage_of
from recdistill.errors import ConfigError
from recdistill.serving.tables import nibbles

FINITE = st.floats(-1e6, 1e6, width=32)


@given(arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 6)), elements=FINITE))
def test_int8_moves_no_value_by_more_than_half_a_scale(matrix: np.ndarray) -> None:
    packed = pack(matrix, "int8")
    assert packed.values.dtype == np.int8
    assert packed.scales is not None
    room = packed.scales[:, None] * 0.5001 + 1e-6
    assert (np.abs(packed.unpack() - matrix) <= room).all()
    again = pack(packed.unpack(), "int8")
    np.testing.assert_allclose(again.unpack(), packed.unpack(), rtol=1e-5, atol=1e-30)


@given(arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 6)), elements=FINITE))
def test_half_precision_saturates_and_float32_is_exact(matrix: np.ndarray) -> None:
    half = pack(matrix, "float16")
    assert np.isfinite(half.values).all()
    inside = np.abs(matrix) < 60_000
    np.testing.assert_allclose(half.unpack()[inside], matrix[inside], rtol=1e-3, atol=1e-7)
    np.testing.assert_array_equal(pack(matrix, "float32").unpack(), matrix)


def test_a_row_of_zeros_stays_zero() -> None:
    np.testing.assert_array_equal(pack(np.zeros((2, 3), np.float32), "int8").unpack(), 0)


@given(arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 7)), elements=FINITE))
def test_int4_errs_less_than_levels_up_to_the_largest_value_would(matrix: np.ndarray) -> None:
    packed = pack(matrix, "int4")
    assert packed.scales is not None
    assert np.abs(packed.values).max(initial=0) <= 7
    plain = np.abs(matrix).max(axis=1, initial=0)[:, None] / 7
    safe = np.where(plain > 0, plain, 1)
    naive = np.square(np.clip(np.rint(matrix / safe), -7, 7) * plain - matrix, dtype=np.float64).sum(axis=1)
    error = np.square(packed.unpack() - matrix, dtype=np.float64).sum(axis=1)
    assert (error <= naive * 1.001 + 1e-9).all()
    inside = np.abs(matrix) <= 7.5 * packed.scales[:, None]  # what is not clipped moves by half a scale at most
    assert (np.abs(packed.unpack() - matrix) <= packed.scales[:, None] * 0.5001 + 1e-6)[inside].all()


@given(arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 7)), elements=FINITE))
def test_what_was_packed_in_4_bits_is_packed_again_without_error(matrix: np.ndarray) -> None:
    once = pack(matrix, "int4").unpack()
    np.testing.assert_allclose(pack(once, "int4").unpack(), once, rtol=1e-5, atol=1e-30)


@given(arrays(np.int8, st.tuples(st.integers(0, 4), st.integers(1, 7)), elements=st.integers(-8, 7)))
def test_two_numbers_in_a_byte_come_back(values: np.ndarray) -> None:
    stored = pack_nibbles(values)
    assert stored.shape == (len(values), (values.shape[1] + 1) // 2)
    np.testing.assert_array_equal(nibbles(stored, values.shape[1]), values)


def test_an_unknown_form_names_the_nearest() -> None:
    assert storage_of("pq") == Storage(vectors="pq")
    assert storage_of(Storage(encoder="int4")).encoder_form == "int4"
    assert [Storage(vectors="pq").encoder_form, Storage(vectors="int4").encoder_form] == ["int8", "int4"]
    with pytest.raises(ConfigError, match="did you mean 'float16'"):
        storage_of("flaot16")
