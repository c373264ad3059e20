"""Each step against its formula, against the bundle it ends in, and against models it has nothing to do with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill import compression as c
from recdistill.compression.candidate import Candidate
from recdistill.compression.defaults import default_steps
from recdistill.compression.steps.low_rank import narrow
from recdistill.compression.steps.prune_blocks import changed
from recdistill.compression.steps.prune_dims import principal
from recdistill.compression.steps.prune_heads import heads_written
from recdistill.compression.surgery import linear_maps
from recdistill.data.dataset import Split
from recdistill.errors import ConfigError
from recdistill.models import EASE, FISM, HSTU, MF, GRU4Rec, Popularity, SASRec
from recdistill.models.slim import Factored
from tests.compression.shared import assert_served_alike, candidate, shaken, workshop

SASREC = SASRec(dim=16, heads=2, blocks=2, max_length=8)
HSTU_ = HSTU(dim=16, heads=2, blocks=2, max_length=8)
CUTS: list[tuple[Any, Any]] = [
    (SASREC, c.PruneHeads(amount=0.5, epochs=0)),
    (SASREC, c.PruneFeedForward(amount=0.3, epochs=0)),
    (SASREC, c.PruneBlocks(blocks=1, epochs=0)),
    (SASREC, c.PruneDims(amount=0.3, epochs=0)),
    (SASREC, c.PruneWeights(amount=0.5, vectors=True, epochs=0)),
    (SASREC, c.LowRank(amount=0.25, matrices=0.8, epochs=0)),
    (HSTU_, c.PruneHeads(amount=0.5, epochs=0)),
    (HSTU_, c.PruneBlocks(blocks=1, epochs=0)),
    (HSTU_, c.PruneDims(amount=0.3, epochs=0)),
    (HSTU_, c.LowRank(amount=0.25, matrices=0.8, epochs=0)),
    (GRU4Rec(dim=16, max_length=8), c.LowRank(amount=0.25, epochs=0)),
    (FISM(dim=8, max_length=8), c.LowRank(amount=0.25, epochs=0)),
]


def done(step: Any, model: Any, split: Split) -> Candidate:
    found: Candidate = step.apply(candidate(model), workshop(split))
    return found


@pytest.mark.parametrize(("config", "step"), CUTS, ids=lambda part: part.name)
def test_a_cut_network_is_smaller_and_its_bundle_scores_as_it_does(
    config: Any, step: Any, split: Split, tmp_path: Path
) -> None:
    model = shaken(config.build(split))
    before = model.score(split.test)
    found = done(step, model, split)
    np.testing.assert_array_equal(model.score(split.test), before)  # what was given is not changed
    if step.name == "prune-weights":
        assert found.sparse
    elif step.name == "low-rank":  # with so few items, the matrices that lead in and out weigh more than they save
        assert found.network().item_vectors().shape[1] == round(0.75 * config.dim)
    else:
        assert found.model.n_parameters < model.n_parameters
    assert_served_alike(found.model, split, tmp_path)
    found.save(tmp_path / "candidate")
    again = Candidate.load(tmp_path / "candidate")
    np.testing.assert_allclose(again.model.score(split.test), found.model.score(split.test), atol=1e-5)
    assert (again.storage, again.sparse) == (found.storage, found.sparse)


NOTHING: list[tuple[Any, Any]] = [
    (SASREC, c.PruneHeads(amount=0, epochs=0)),
    (SASREC, c.PruneFeedForward(amount=0, epochs=0)),
    (SASREC, c.PruneBlocks(blocks=0, epochs=0)),
    (SASREC, c.PruneDims(amount=0, epochs=0)),
    (SASREC, c.PruneWeights(amount=0, vectors=True, epochs=0)),
    (SASREC, c.LowRank(amount=0, epochs=0)),
    (HSTU_, c.PruneHeads(amount=0, epochs=0)),
    (MF(dim=8), c.LowRank(amount=0, epochs=0)),
]


@pytest.mark.parametrize(("config", "step"), NOTHING, ids=lambda part: part.name)
def test_an_amount_of_nothing_changes_nothing(config: Any, step: Any, split: Split) -> None:
    model = shaken(config.build(split))
    found = done(step, model, split)
    np.testing.assert_array_equal(found.model.score(split.test), model.score(split.test))
    assert found.model.n_parameters == model.n_parameters
    assert not found.sparse


@pytest.mark.parametrize("config", [SASREC, HSTU_])
def test_a_rotation_of_all_dimensions_loses_nothing(config: Any, split: Split) -> None:
    from recdistill.compression.steps.prune_dims import moments, slice_stream

    model = shaken(config.build(split))
    before = model.score(split.test)
    for _ in range(2):  # the second time, item vectors enter and leave through a matrix
        slice_stream(model, principal(moments(model, workshop(split)), 16))
        np.testing.assert_allclose(model.score(split.test), before, atol=2e-3 * np.abs(before).max())


@given(st.integers(2, 9), st.integers(1, 9), st.integers(0, 10_000))
@settings(max_examples=30)
def test_axes_are_orthonormal_and_keep_the_mean(dim: int, width: int, seed: int) -> None:
    width = max(min(dim, width), 2)
    rows = torch.from_numpy(np.random.default_rng(seed).normal(size=(50, dim)))
    axes = principal(rows.T @ rows, width)
    torch.testing.assert_close(axes.T @ axes, torch.eye(width).double(), atol=1e-9, rtol=0)
    mean = torch.full((dim,), dim**-0.5).double() @ axes
    torch.testing.assert_close(mean, torch.full((width,), width**-0.5).double(), atol=1e-6, rtol=0)


def test_low_rank_is_the_best_for_the_scores_that_are_asked(split: Split) -> None:
    model: Any = shaken(MF(dim=8, bias=False).build(split))
    users, items = model.users.detach().double().numpy(), model.items.detach().double().numpy()
    moment = users.T @ users / len(users)
    narrow(model, 3, torch.from_numpy(moment))
    got = model.users.detach().double().numpy() @ model.items.detach().double().numpy().T
    u, s, v = np.linalg.svd(users @ items.T, full_matrices=False)
    best = (u[:, :3] * s[:3]) @ v[:3]
    error, least = (np.square(users @ items.T - x).sum() for x in (got, best))
    assert error <= least * 1.01
    assert model.config.dim == 3


def test_thin_maps_are_the_best_of_their_rank(split: Split) -> None:
    model: Any = shaken(SASREC.build(split))
    weight = model.blocks[0].up.weight.detach().numpy()
    found: Any = done(c.LowRank(amount=0, matrices=0.5, epochs=0), model, split).model
    up = found.blocks[0].up
    assert isinstance(up, Factored)
    rank = int(0.5 * 64 * 16 / (64 + 16))
    assert up.first.shape == (rank, 16)
    u, s, v = np.linalg.svd(weight, full_matrices=False)
    np.testing.assert_allclose(up.weight.detach(), (u[:, :rank] * s[:rank]) @ v[:rank], atol=1e-5)


@given(st.floats(0, 0.95))
@settings(max_examples=10)
def test_the_smallest_numbers_are_pruned(amount: float) -> None:
    from recdistill.testing import tiny_split

    split = tiny_split()
    model: Any = shaken(SASRec(dim=8, blocks=1, heads=1, max_length=8).build(split))
    found: Any = done(c.PruneWeights(amount=amount, epochs=0), model, split).model
    sizes, kept = [], []
    for (old, name), (new, _) in zip(linear_maps(model), linear_maps(found), strict=True):
        before, after = getattr(old, name).detach().numpy().ravel(), getattr(new, name).detach().numpy().ravel()
        np.testing.assert_array_equal(after[after != 0], before[after != 0])
        sizes.append(np.abs(before) / np.sqrt(np.square(before).mean()))
        kept.append(after != 0)
    size, stays = np.concatenate(sizes), np.concatenate(kept)
    assert abs((~stays).mean() - amount) < 2 / len(stays) + 1e-9
    assert size[~stays].max(initial=0) <= size[stays].min(initial=np.inf) + 1e-6


def test_the_head_that_writes_least_goes(split: Split) -> None:
    model: Any = shaken(SASREC.build(split))
    with torch.no_grad():
        model.blocks[1].out.weight[:, 8:] *= 1e-3
    written = heads_written(model, workshop(split))
    assert np.argmin(written) == 3
    found: Any = done(c.PruneHeads(amount=0.25, epochs=0), model, split).model
    assert [block.out.weight.shape[1] for block in found.blocks] == [16, 8]
    np.testing.assert_array_equal(found.blocks[1].out.weight.detach(), model.blocks[1].out.weight[:, :8].detach())


def test_every_block_keeps_a_head_and_one_block_stays(split: Split) -> None:
    model = shaken(SASREC.build(split))
    found: Any = done(c.PruneHeads(amount=0.99, epochs=0), model, split).model
    assert [block.out.weight.shape[1] for block in found.blocks] == [8, 8]
    with pytest.raises(ConfigError, match="2 of 2 blocks cannot be taken out, one must stay; use 1 at most"):
        c.PruneBlocks(blocks=2).check(candidate(model))


def test_the_block_that_changes_least_goes(split: Split) -> None:
    model: Any = shaken(SASREC.build(split))
    with torch.no_grad():
        for linear in (model.blocks[0].out, model.blocks[0].down):
            linear.weight.mul_(1e-3)
            linear.bias.zero_()
    assert np.argmin(changed(model, workshop(split))) == 0
    found: Any = done(c.PruneBlocks(epochs=0), model, split).model
    np.testing.assert_array_equal(found.blocks[0].up.weight.detach(), model.blocks[1].up.weight.detach())


@pytest.mark.parametrize(
    ("step", "config", "match"),
    [
        (c.PruneHeads(), GRU4Rec(dim=8), "gru4rec has no heads to prune; sasrec and hstu have"),
        (c.PruneFeedForward(), HSTU_, "hstu has no feed-forward layer to prune"),
        (c.PruneDims(), FISM(dim=8), "fism has no dimensions to prune"),
        (c.PruneBlocks(), MF(dim=8), "mf has no blocks"),
        (c.PruneNeighbours(), SASREC, "sasrec has vectors and no neighbours to prune"),
        (c.PQ(), EASE(), "ease has no item vectors that could share codewords"),
        (c.LowRank(), EASE(), "ease is of closed form, it has no network to change"),
        (c.PruneWeights(), Popularity(), "popularity is of closed form"),
        (c.Tune(), EASE(), "ease is of closed form"),
        (c.Encoder(), MF(dim=8), "mf has no encoder"),
    ],
)
def test_a_step_that_has_nothing_to_do_says_what_has(step: Any, config: Any, match: str, split: Split) -> None:
    with pytest.raises(ConfigError, match=match):
        step.check(candidate(config.build(split)))


def test_steps_of_storage_change_nothing_else(split: Split) -> None:
    model = shaken(SASREC.build(split))
    for step, vectors, encoder in (
        (c.Float16(), "float16", "float16"),
        (c.Int8(), "int8", "int8"),
        (c.Int4(epochs=0), "int4", "int8"),
        (c.PQ(epochs=0, parts=8, encoder="int4"), "pq", "int4"),
        (c.Encoder(form="dynamic"), "float32", "dynamic"),
    ):
        found = done(step, model, split)
        assert found.model is model
        assert (found.storage.vectors, found.storage.encoder_form) == (vectors, encoder)
    assert done(c.Deflate(), model, split).storage.deflate
    ease = EASE().build(split)
    assert done(c.PruneNeighbours(neighbours=7), ease, split).storage.neighbours == 7


def test_every_model_has_a_chain_that_suits_it(split: Split, models: dict[str, Any]) -> None:
    for model in models.values():
        for step in default_steps(model):
            step.check(candidate(model))
