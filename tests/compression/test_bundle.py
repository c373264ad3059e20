from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recdistill.compression import ServedModel, write_bundle
from recdistill.compression.encoder_check import encoder_error
from recdistill.compression.forms import form_of
from recdistill.compression.linear import contexts_of, item_to_item
from recdistill.compression.storage import Storage
from recdistill.data.dataset import Dataset, Split
from recdistill.data.sequences import Sequences
from recdistill.errors import BundleError, ConfigError
from recdistill.models.base import ModelConfig, RankingModel
from recdistill.models.neural import NeuralModel
from recdistill.models.sasrec import SASRec
from recdistill.serving import Bundle
from tests.compression.conftest import CONFIGS

WHOLE = Storage(vectors="float32", neighbours=60)
KINDS = {
    "sasrec": "sequence",
    "gru4rec": "sequence",
    "hstu": "sequence",
    "mf": "fold-in",
    "lightgcn": "fold-in",
    "popularity": "popularity",
    "ease": "item-to-item",
    "dual-ease": "item-to-item",
    "item-knn": "item-to-item",
    "slist": "item-to-item",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_model_becomes_a_bundle(name: str, models: dict[str, RankingModel], split: Split, tmp_path: Path) -> None:
    path = write_bundle(models[name], split.dataset, tmp_path / "b", vectors=WHOLE)
    bundle = Bundle.open(path)
    assert bundle.manifest.kind == KINDS[name]
    assert bundle.manifest.parameters == models[name].n_parameters
    # folding in guesses what training gave the known users; random factors leave little to guess;
    # slist counts an item as often as it occurs, a bundle once
    least = {"mf": 0.15, "lightgcn": 0.15, "slist": 0.95}.get(name, 0.999)
    assert bundle.manifest.checks["overlap_at_10"] >= least


@pytest.mark.parametrize("name", ["sasrec", "gru4rec", "hstu"])
def test_scores_of_an_encoder_are_those_of_the_model(
    name: str, models: dict[str, RankingModel], split: Split, tmp_path: Path
) -> None:
    served = ServedModel(write_bundle(models[name], split.dataset, tmp_path / "b", vectors="float32"))
    np.testing.assert_allclose(served.score(split.test), models[name].score(split.test), atol=1e-4)
    assert served.n_items == split.n_items
    assert served.n_parameters == models[name].n_parameters
    assert served.tensors()["vectors"].shape == (split.n_items, served.bundle.manifest.dim)


@pytest.mark.parametrize("name", ["ease", "dual-ease", "item-knn"])
def test_an_item_to_item_bundle_adds_up_what_the_model_adds_up(
    name: str, models: dict[str, RankingModel], split: Split, tmp_path: Path
) -> None:
    served = ServedModel(write_bundle(models[name], split.dataset, tmp_path / "b", vectors=WHOLE))
    np.testing.assert_allclose(served.score(split.test), models[name].score(split.test), atol=2e-3)


def test_fewer_bits_are_near_and_smaller(models: dict[str, RankingModel], split: Split, tmp_path: Path) -> None:
    sizes = {}
    for form, least in {"int4": 0.6, "int8": 0.9, "float16": 0.9, "float32": 0.99}.items():
        bundle = Bundle.open(write_bundle(models["sasrec"], split.dataset, tmp_path / form, vectors=form))
        sizes[form] = bundle.size_bytes
        assert bundle.manifest.checks["overlap_at_10"] > least
        assert bundle.manifest.precision == form
    assert sizes["int4"] < sizes["int8"] < sizes["float16"] < sizes["float32"]


@pytest.mark.parametrize("name", ["sasrec", "mf", "ease"])
@pytest.mark.parametrize("form", ["int4", "pq"])
def test_every_kind_with_vectors_is_served_from_few_bits(
    name: str, form: str, models: dict[str, RankingModel], split: Split, tmp_path: Path
) -> None:
    bundle = Bundle.open(write_bundle(models[name], split.dataset, tmp_path / "b", vectors=form))
    whole = Bundle.open(write_bundle(models[name], split.dataset, tmp_path / "w", vectors="float32"))
    assert bundle.recommend(["i1", "i2"], 5)
    assert bundle.similar("i3", 5)
    correlation = np.corrcoef(bundle.score(split.test).ravel(), whole.score(split.test).ravel())[0, 1]
    assert correlation > 0.9


def test_parts_that_do_not_divide_the_width_are_refused(
    models: dict[str, RankingModel], split: Split, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="5 parts do not divide 16 dimensions; use one of 1, 2, 4, 8, 16"):
        write_bundle(models["sasrec"], split.dataset, tmp_path / "b", vectors=Storage(vectors="pq", parts=5))


def test_ages_of_a_decay_are_found(models: dict[str, RankingModel], split: Split) -> None:
    found = item_to_item(models["ease"], split.popularity, neighbours=60, ages=10)
    np.testing.assert_allclose(found.ages, 0.8 ** np.arange(10), atol=1e-3)


def test_the_card_travels_along(models: dict[str, RankingModel], split: Split, tmp_path: Path) -> None:
    card = {
        "title": "Tiny",
        "data": "made up",
        "metrics": {"NDCG@10": 0.123456, "slices": {"tail": 0.5}},
        "limits": ["knows 60 items", "was never asked by anybody"],
        "parameters": 12_345,
    }
    bundle = Bundle.open(write_bundle(models["popularity"], split.dataset, tmp_path / "b", card=card))
    assert bundle.card["metrics"]["NDCG@10"] == pytest.approx(0.123456)
    assert bundle.card["bundle"]["kind"] == "popularity"
    text = (bundle.path / "card.md").read_text(encoding="utf-8")
    for line in ("# Tiny", "## Limits", "- knows 60 items", "- **NDCG@10**: 0.1235", "  - **tail**: 0.5", "12,345"):
        assert line in text


def test_a_second_write_replaces_the_first(models: dict[str, RankingModel], split: Split, tmp_path: Path) -> None:
    write_bundle(models["popularity"], split.dataset, tmp_path / "b")
    first = {p.name: p.read_bytes() for p in write_bundle(models["sasrec"], split.dataset, tmp_path / "b").iterdir()}
    second = {p.name: p.read_bytes() for p in write_bundle(models["sasrec"], split.dataset, tmp_path / "b").iterdir()}
    assert first == second
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_what_does_not_fit_is_refused(models: dict[str, RankingModel], split: Split, tmp_path: Path) -> None:
    other = replace(split.dataset, items=replace(split.dataset.items, ids=["only"], titles=["only"]))
    with pytest.raises(BundleError, match="ranks 60 items, the dataset has 1"):
        write_bundle(models["sasrec"], other, tmp_path / "b")
    with pytest.raises(ConfigError, match="int8"):
        write_bundle(models["sasrec"], split.dataset, tmp_path / "b", vectors="int9")
    empty = Dataset(split.dataset.users, split.dataset.items, Sequences.from_lists([[] for _ in split.dataset.users]))
    with pytest.raises(BundleError, match="the log is empty"):
        write_bundle(models["sasrec"], empty, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_are_not_finite_are_refused(split: Split, tmp_path: Path) -> None:
    model = SASRec(dim=8).build(split)
    assert isinstance(model, NeuralModel)
    with torch.no_grad():
        model.get_parameter("items")[3, 0] = float("nan")
    with pytest.raises(BundleError, match="not finite"):
        write_bundle(model, split.dataset, tmp_path / "b", vectors="float32")
    assert list(tmp_path.iterdir()) == []


def test_a_graph_of_another_network_is_refused(models: dict[str, RankingModel], split: Split) -> None:
    users = contexts_of(split.train)
    form = form_of(models["sasrec"], users, split.popularity, WHOLE)
    stranger: Any = SASRec(dim=16, max_length=8).build(split, seed=2)
    with pytest.raises(BundleError, match="away from the network"):
        encoder_error(stranger, form, users, "float32")


def test_a_trained_model_without_a_known_encoder_is_refused(models: dict[str, RankingModel], split: Split) -> None:
    class Strange(ModelConfig):
        name = "sasrecc"
        trained = True

    model = ServedModel.__new__(ServedModel)
    model.config = Strange()
    with pytest.raises(BundleError, match="did you mean 'sasrec'"):
        form_of(model, contexts_of(split.train), split.popularity, Storage())
