"""What is cut away was nothing, or is exactly what is missing."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from recdistill.compression.surgery import bake, keep_heads, keep_units, watched, without_block
from recdistill.data.dataset import Split
from recdistill.knowledge import Knowledge
from recdistill.models import FISM, HSTU, LightGCN, SASRec
from recdistill.models.slim import Factored
from tests.compression.shared import embeddings, shaken


def same(a: Any, b: Any, split: Split) -> None:
    np.testing.assert_allclose(a.score(split.test), b.score(split.test), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("config", [SASRec(dim=16, heads=4, max_length=8), HSTU(dim=16, heads=4, max_length=8)])
def test_all_heads_in_their_order_change_nothing_and_a_silent_head_neither(split: Split, config: Any) -> None:
    model = shaken(config.build(split))
    whole = copy.deepcopy(model)
    for block in whole.blocks:
        keep_heads(block, range(4))
    same(whole, model, split)
    if config.name == "hstu":  # its norm runs over all heads, so none of them is silent alone
        return
    with torch.no_grad():
        model.blocks[0].out.weight[:, 4:8] = 0.0
    without = copy.deepcopy(model)
    keep_heads(without.blocks[0], [0, 2, 3])
    assert without.blocks[0].out.weight.shape == (16, 12)
    same(without, model, split)


def test_a_unit_that_is_always_on_becomes_a_bias(split: Split) -> None:
    model = shaken(SASRec(dim=8, blocks=1, heads=1, max_length=8).build(split))
    with torch.no_grad():
        model.blocks[0].up.weight[5:] = 0.0  # their activation is their bias, whatever comes
    means = torch.nn.functional.gelu(model.blocks[0].up.bias.detach())
    smaller = copy.deepcopy(model)
    keep_units(smaller.blocks[0], torch.arange(5), means)
    assert smaller.blocks[0].up.weight.shape == (5, 8)
    same(smaller, model, split)


def test_a_block_that_writes_nothing_can_go(split: Split) -> None:
    model = shaken(SASRec(dim=8, blocks=3, max_length=8).build(split))
    with torch.no_grad():
        for linear in (model.blocks[1].out, model.blocks[1].down):
            linear.weight.zero_()
            linear.bias.zero_()
    smaller = without_block(copy.deepcopy(model), 1)
    assert smaller.config.blocks == len(smaller.blocks) == 2
    same(smaller, model, split)


def test_heads_and_units_of_thin_maps_can_go_too(split: Split) -> None:
    model = shaken(SASRec(dim=8, blocks=1, heads=2, max_length=8).build(split))
    thin = copy.deepcopy(model)
    for name in ("qkv", "out", "up", "down"):
        linear = getattr(thin.blocks[0], name)
        u, s, v = torch.linalg.svd(linear.weight.detach(), full_matrices=False)
        setattr(thin.blocks[0], name, Factored(s[:, None] * v, u, linear.bias.detach()))
    same(thin, model, split)
    for own in (model, thin):
        keep_heads(own.blocks[0], [1])
        keep_units(own.blocks[0], torch.arange(0, 32, 2), torch.zeros(32))
    same(thin, model, split)


def test_baked_models_score_alike(split: Split, tmp_path: Any) -> None:
    knowledge = Knowledge((embeddings(split, tmp_path / "embeddings"),))
    for config in (SASRec(dim=8, max_length=8, text="all"), FISM(dim=8, text="all"), LightGCN(dim=8)):
        model: Any = shaken(config.build(split, knowledge))
        baked: Any = bake(model)
        assert getattr(baked, "fusion", None) is None
        assert baked is not model
        same(baked, model, split)
    assert baked.config.name == "mf"


def test_what_goes_into_modules_is_seen_only_while_it_is_watched(split: Split) -> None:
    model = shaken(SASRec(dim=8, blocks=2, max_length=8).build(split))
    with watched([model.norm]) as seen:
        model.encode(split.test)
    before = len(seen[0])
    assert before > 0
    assert seen[0][0].shape[-1] == 8
    model.encode(split.test)
    assert len(seen[0]) == before
