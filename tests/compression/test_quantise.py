from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recdistill.compression.quantise import check_precision, pack
from recdistill.errors import ConfigError

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


def test_an_unknown_precision_names_the_nearest() -> None:
    assert check_precision("int8") == "int8"
    with pytest.raises(ConfigError, match="did you mean 'float16'"):
        check_precision("flaot16")
