"""A chain keeps what passes the gate, undoes what does not, does nothing twice, and goes on after kill -9."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from recdistill import compression as c
from recdistill.compression.budget import Budget
from recdistill.compression.candidate import Candidate, Workshop
from recdistill.compression.chain import Compressed, compress
from recdistill.compression.steps.base import RecoveringStep, Step
from recdistill.data.dataset import Split
from recdistill.errors import BundleError, ConfigError, RunError
from recdistill.models import EASE, Popularity, SASRec
from recdistill.models.base import RankingModel
from recdistill.objectives import CrossEntropy, StartFrom
from recdistill.serving import Bundle
from recdistill.serving.scorers import VectorScorer
from recdistill.training import Training, fit
from tests.compression.long_chain import long_chain
from tests.compression.shared import QUICK
from tests.killed import killed_after
from tests.synthetic import tiny_split

LENIENT = c.Gate(max_drop=0.3, max_tail_drop=0.9, min_overlap=0.3)


class Broken(Step):
    """A quantiser with a mistake: every vector gets the scale of its neighbour."""

    name: ClassVar[str] = "broken"

    def apply(self, candidate: Candidate, shop: Workshop) -> Candidate:
        model = candidate.network()
        with torch.no_grad():
            scales = model.items.abs().amax(dim=1, keepdim=True) / 3
            model.items.copy_((model.items / scales).round() * scales.roll(1, dims=0) * (-1) ** torch.arange(32))
        return Candidate(model, candidate.storage)


class NotANumber(Step):
    """A step after which there is nothing to serve."""

    name: ClassVar[str] = "not-a-number"

    def apply(self, candidate: Candidate, shop: Workshop) -> Candidate:
        model = candidate.network()
        with torch.no_grad():
            model.items[0, 0] = float("nan")
        return Candidate(model, candidate.storage)


@pytest.fixture(scope="module")
def data() -> Split:
    return tiny_split(n_users=250, n_items=60)


@pytest.fixture(scope="module")
def model(data: Split) -> RankingModel:
    training = Training(epochs=8, batch=256, lr=5e-3, warmup=5, device="cpu")
    return fit(SASRec(dim=32, blocks=1, max_length=8), data, training=training).model


STEPS = [Broken(), c.Int8(), NotANumber(), c.PruneFeedForward(amount=0.5, epochs=1), c.Int8(), c.Deflate()]


@pytest.fixture(scope="module")
def found(data: Split, model: RankingModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Compressed, Path]:
    place = tmp_path_factory.mktemp("chain")
    return compress(model, data, steps=STEPS, gate=LENIENT, training=QUICK, directory=place), place


def test_a_broken_quantiser_is_undone_and_the_chain_goes_on(found: tuple[Compressed, Path]) -> None:
    rows = found[0].outcome.rows
    assert [row.name for row in rows] == [
        "uncompressed", "broken", "int8", "not-a-number", "prune-feed-forward", "int8 2", "deflate",
    ]  # fmt: skip
    assert [row.kept for row in rows] == [True, False, True, False, True, True, True]
    assert "NDCG@10" in rows[1].reason
    assert "of the first 10 items came" in rows[1].reason
    assert "not finite" in rows[3].reason
    assert rows[3].ndcg is None
    assert rows[1].step == {"type": "broken"}
    assert not rows[1].pareto
    # the step behind it started from what was there before it
    assert rows[2].parameters == rows[0].parameters
    assert rows[2].overlap is not None
    assert rows[2].overlap > 0.9


def test_sizes_and_times_are_of_bundles_that_are_there(found: tuple[Compressed, Path]) -> None:
    outcome = found[0].outcome
    for row, place in zip(outcome.rows, found[0].places, strict=True):
        if row.ndcg is not None:
            assert row.bytes == Bundle.open(place / "bundle").size_bytes
            assert row.p50_ms is not None
    sizes = {row.name: row.model_bytes for row in outcome.rows}
    assert sizes["deflate"] < sizes["int8 2"] < sizes["int8"] < sizes["uncompressed"]  # type: ignore[operator]
    assert outcome.picked is not None
    assert outcome.picked.name == "deflate"


def test_the_picked_bundle_is_written_once_with_what_was_found(
    found: tuple[Compressed, Path], tmp_path: Path, data: Split
) -> None:
    path = found[0].bundle(tmp_path / "small", {"title": "Tiny"})
    bundle = Bundle.open(path)
    assert bundle.card["title"] == "Tiny"
    assert bundle.card["compression"]["steps"] == ["int8", "prune-feed-forward", "int8 2", "deflate"]
    assert bundle.recommend(["i1"], 3)
    served = c.ServedModel(bundle).score(data.test)
    expected = found[0].picked.model.score(data.test)
    assert np.corrcoef(served.ravel(), expected.ravel())[0, 1] > 0.99
    with pytest.raises(RunError, match="is there already, nothing was overwritten"):
        found[0].bundle(path)


def test_the_picked_bundle_can_have_users_and_a_tower(
    found: tuple[Compressed, Path], tmp_path: Path, data: Split
) -> None:
    bundle = Bundle.open(found[0].bundle(tmp_path / "b", dataset=data.dataset, users=True, tower=True))
    assert bundle.card["compression"]["steps"] == ["int8", "prune-feed-forward", "int8 2", "deflate"]
    assert bundle.users is not None
    assert bundle.add_item("new", "item number 3 about topic 1") == data.n_items
    assert bundle.recommend(user=data.dataset.users[0])


@pytest.mark.parametrize("step", [c.Int4(epochs=0), c.PruneDims(amount=0.5, epochs=0), c.PQ(epochs=0)])
def test_a_tower_speaks_the_language_of_what_was_picked(
    data: Split, model: RankingModel, tmp_path: Path, step: Step
) -> None:
    made = compress(model, data, steps=[step], gate=LENIENT, directory=tmp_path / "chain")
    bundle = Bundle.open(made.bundle(tmp_path / "b", dataset=data.dataset, tower=True))
    assert bundle.card["compression"]["steps"] == [step.name]
    assert bundle.tower is not None
    scorer = bundle.scorer
    assert isinstance(scorer, VectorScorer)
    vector = bundle.tower.embed(["item number 3 about topic 1"])[0]
    new = bundle.add_item("new", "item number 3 about topic 1")
    state = scorer.contexts(data.test.history)
    bias = vector[-1] if scorer.bias is not None else 0.0
    expected = state @ vector[: state.shape[1]] + bias
    np.testing.assert_allclose(bundle.score(data.test)[:, new], expected, rtol=1e-3, atol=1e-4)


def test_a_bundle_that_its_tower_makes_too_large_is_told_of(
    data: Split, model: RankingModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chain = tmp_path / "chain"
    whole = compress(model, data, steps=[], gate=LENIENT, directory=chain).outcome.whole
    made = compress(model, data, steps=[], gate=LENIENT, budget=Budget(under=whole.bytes), directory=chain)
    made.bundle(tmp_path / "bare")
    assert not caplog.records
    made.bundle(tmp_path / "b", dataset=data.dataset, tower=True)
    assert f"bytes, beyond {whole.bytes:,}" in caplog.text


def test_nothing_is_done_twice_and_another_gate_or_budget_asks_nothing(
    found: tuple[Compressed, Path], data: Split, model: RankingModel
) -> None:
    before = {file: file.stat().st_mtime_ns for file in found[1].rglob("*") if file.is_file()}
    again = compress(model, data, steps=STEPS, gate=LENIENT, training=QUICK, directory=found[1])
    assert again.outcome == found[0].outcome
    size = found[0].outcome.rows[2].bytes or 0
    strict = LENIENT.replace(min_overlap=0.2)
    small = compress(
        model, data, steps=STEPS, gate=strict, budget=Budget(under=size), training=QUICK, directory=found[1]
    )
    assert small.outcome.picked is not None
    assert (small.outcome.picked.bytes or 0) <= size
    assert {file: file.stat().st_mtime_ns for file in found[1].rglob("*") if file.is_file()} == before


def test_a_budget_that_nothing_fits_names_what_is_nearest(
    found: tuple[Compressed, Path], data: Split, model: RankingModel, tmp_path: Path
) -> None:
    none = compress(
        model, data, steps=STEPS, gate=LENIENT, budget=Budget(under="1kB"), training=QUICK, directory=found[1]
    )
    assert none.outcome.picked is None
    with pytest.raises(RunError, match="no candidate fits the budget: the smallest that the gate let pass is deflate"):
        none.bundle(tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_step_of_another_kind_of_model_is_refused_before_anything_is_done(data: Split, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"steps\.1: ease has no item vectors"):
        compress(EASE().build(data), data, steps=[c.Int8(), c.PQ()], directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_models_of_closed_form_have_a_chain_too(data: Split, tmp_path: Path) -> None:
    found = compress(EASE().build(data), data, gate=LENIENT, directory=tmp_path / "ease")
    assert [row.name for row in found.outcome.rows][1:] == ["int8", "prune-neighbours", "int4", "deflate"]
    assert found.outcome.rows[1].kept
    found = compress(Popularity().build(data), data, directory=tmp_path / "popularity")
    assert found.outcome.rows[1].change == 0


def test_objectives_that_only_set_initial_weights_are_left_out(
    data: Split, model: RankingModel, tmp_path: Path
) -> None:
    found = compress(
        model, data, steps=[c.Tune(epochs=1)], objectives=[CrossEntropy(), StartFrom()], gate=LENIENT, training=QUICK,
        directory=tmp_path,
    )  # fmt: skip
    assert found.outcome.rows[1].kept


def test_training_is_never_worse_than_none(data: Split, model: RankingModel) -> None:
    shop = Workshop(data, c_knowledge(), (CrossEntropy(),), QUICK)
    start = Candidate(model, c.Storage(vectors="float32"))
    harmed = shop.recover(start, epochs=1, lr=10.0)
    np.testing.assert_array_equal(harmed.model.score(data.valid), model.score(data.valid))
    assert shop.recover(start, epochs=0, lr=1.0) is start


def c_knowledge() -> Any:
    from recdistill.knowledge import Knowledge

    return Knowledge(())


def test_every_step_that_trains_says_for_how_long() -> None:
    for component in c.STEPS.values():
        step = component.load()()
        assert step.digest() != type(step)(**({"epochs": 7} if isinstance(step, RecoveringStep) else {})).digest() or (
            not isinstance(step, RecoveringStep)
        )


def test_the_uncompressed_model_must_be_servable(data: Split, model: RankingModel, tmp_path: Path) -> None:
    import copy

    broken: Any = copy.deepcopy(model)
    with torch.no_grad():
        broken.items.fill_(float("nan"))
    with pytest.raises(BundleError, match="not finite"):
        compress(broken, data, steps=[c.Int8()], directory=tmp_path)


def test_a_killed_chain_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "killed" / "stages" / "compress"
    killed_after(3, folder, "-m", "tests.compression.long_chain", str(tmp_path / "killed"))
    assert not list(folder.glob("tune/*/done.json"))
    int8 = next(folder.glob("int8/*/done.json")).stat().st_mtime_ns
    resumed, whole = long_chain(tmp_path / "killed"), long_chain(tmp_path / "whole")
    assert next(folder.glob("int8/*/done.json")).stat().st_mtime_ns == int8
    weights, others = resumed.picked.model.tensors(), whole.picked.model.tensors()
    assert all(np.array_equal(weights[name], others[name]) for name in weights)
