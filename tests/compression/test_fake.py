"""Rounding inside training is the rounding of the bundle."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.compression import Storage
from recdistill.compression.fake import KeepZeros, RoundParts, RoundRows, as_stored
from recdistill.compression.product import product_code
from recdistill.compression.quantise import Precision, pack
from recdistill.data.dataset import Split
from recdistill.models import FISM, MF, SASRec
from tests.compression.shared import shaken


def matrix(rows: int = 40, width: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32))


@given(st.integers(1, 20), st.integers(1, 9), st.integers(0, 1_000), st.sampled_from(["int8", "int4"]))
@settings(max_examples=30)
def test_rows_are_rounded_as_they_are_stored(rows: int, width: int, seed: int, precision: Precision) -> None:
    start = matrix(rows, width, seed)
    rounded = RoundRows(start, precision)(start)
    np.testing.assert_allclose(rounded, pack(start.numpy(), precision).unpack(), atol=1e-6)
    np.testing.assert_allclose(pack(rounded.numpy(), precision).unpack(), rounded, atol=1e-6)


def test_parts_are_rounded_as_they_are_stored() -> None:
    start = matrix(600, 8)
    rounding = RoundParts(start, 4).eval()
    rounded = rounding(start)
    np.testing.assert_allclose(rounded, product_code(start.numpy(), 4).unpack(), atol=1e-6)
    np.testing.assert_allclose(product_code(rounded.numpy(), 4).unpack(), rounded, atol=1e-6)


@pytest.mark.parametrize("make", [lambda m: RoundRows(m, "int4"), lambda m: RoundParts(m, 2)])
def test_the_gradient_passes_straight_through(make: Any) -> None:
    weight = matrix().requires_grad_()
    upstream = matrix(seed=1)
    (make(weight)(weight) * upstream).sum().backward()
    torch.testing.assert_close(weight.grad, upstream)


def test_codewords_follow_what_they_stand_for_and_rows_go_over() -> None:
    start = matrix(600, 4)
    rounding = RoundParts(start, 1)
    moved = start + 0.5
    for _ in range(30):
        rounded = rounding(moved)
    assert float((rounded - moved).square().mean()) < float(
        (product_code(start.numpy(), 1).unpack() - moved.numpy()).__pow__(2).mean()
    )
    before = rounding.codes.clone()
    other = matrix(600, 4, seed=5)
    for _ in range(30):
        rounding(other)
    assert (rounding.codes != before).any()
    for word in set(rounding.codes[:, 0].tolist()):
        mean = other[rounding.codes[:, 0] == word].mean(0)
        torch.testing.assert_close(rounding.books[0, word], mean, atol=1e-5, rtol=1e-4)


def test_zeros_stay_and_have_no_gradient() -> None:
    weight = matrix()
    weight[weight < 0] = 0.0
    weight.requires_grad_()
    kept = KeepZeros(weight)(weight)
    kept.sum().backward()
    np.testing.assert_array_equal(weight.grad, (weight > 0).float().detach())


@pytest.mark.parametrize("config", [SASRec(dim=16, max_length=8), FISM(dim=8), MF(dim=8)])
@pytest.mark.parametrize("storage", [Storage(vectors="int4"), Storage(vectors="pq"), Storage(vectors="float32")])
def test_afterwards_a_network_holds_what_will_be_stored(config: Any, storage: Storage, split: Split) -> None:
    model: Any = shaken(config.build(split))
    names, kind = list(model.state_dict()), type(model)
    exact = copy.deepcopy(model)
    with as_stored(model, storage):
        inside = model.item_vectors()
        assert isinstance(model, kind)
    assert type(model) is kind
    assert sorted(model.state_dict()) == sorted(names)
    np.testing.assert_array_equal(model.item_vectors(), inside)
    if storage.vectors == "float32":
        np.testing.assert_array_equal(inside, exact.item_vectors())
    elif storage.vectors == "int4":
        np.testing.assert_allclose(inside, pack(exact.item_vectors(), "int4").unpack(), atol=1e-6)
        np.testing.assert_allclose(pack(inside, "int4").unpack(), inside, atol=1e-6)


def test_a_pruned_network_stays_pruned_in_training(split: Split) -> None:
    model: Any = shaken(SASRec(dim=8, blocks=1, heads=1, max_length=8).build(split))
    with torch.no_grad():
        model.blocks[0].up.weight[:, ::2] = 0.0
    with as_stored(model, Storage(vectors="float32"), sparse=True):
        for value in model.parameters():
            value.data += 0.1
    assert (model.blocks[0].up.weight[:, ::2] == 0).all()
    assert (model.blocks[0].up.weight[:, 1::2] != 0).all()
