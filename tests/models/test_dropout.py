"""Dropout keeps what it says, scales what it keeps, and repeats itself."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recdistill.models.dropout import Dropout, dropout


@given(rate=st.floats(0.01, 0.95), seed=st.integers(0, 9))
def test_the_share_and_the_scale(rate: float, seed: int) -> None:
    torch.manual_seed(seed)
    out = dropout(torch.ones(60, 401), rate)
    kept = out > 0
    n = out.numel()
    assert abs(float(kept.float().mean()) - (1 - rate)) < 5 * (rate * (1 - rate) / n) ** 0.5 + 1e-5
    assert torch.allclose(out[kept], torch.tensor(1 / (1 - rate)), rtol=1e-3)


def test_masks_are_independent_of_each_other() -> None:
    torch.manual_seed(0)
    a, b = dropout(torch.ones(100_000), 0.5) > 0, dropout(torch.ones(100_000), 0.5) > 0
    assert abs(float((a & b).float().mean()) - 0.25) < 0.01
    assert abs(float((a[1:] & a[:-1]).float().mean()) - 0.25) < 0.01


def test_equal_seeds_give_equal_masks() -> None:
    layer, x = Dropout(0.3), torch.randn(7, 5)
    torch.manual_seed(3)
    first = layer(x)
    torch.manual_seed(3)
    assert torch.equal(first, layer(x))
    assert not torch.equal(first, layer(x))


@pytest.mark.parametrize("shape", [(), (1,), (3, 0), (2, 3, 5)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    assert dropout(torch.ones(shape, dtype=torch.float64), 0.5).shape == shape


def test_the_gradient_is_the_mask() -> None:
    x = torch.randn(50, requires_grad=True)
    out = dropout(x, 0.4)
    out.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert torch.equal(x.grad * x.detach(), out.detach())


def test_nothing_happens_outside_training() -> None:
    layer, x = Dropout(0.9).eval(), torch.randn(4)
    assert layer(x) is x
    assert dropout(x, 0.0) is x
