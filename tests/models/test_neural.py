"""What is particular to MF, GRU4Rec and SASRec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recdistill.data.dataset import Split
from recdistill.errors import ConfigError, KnowledgeError, RecdistillError
from recdistill.files import read_json, write_json
from recdistill.models import MF, GRU4Rec, Popularity, RankingModel, SASRec, load_model
from recdistill.models.base import ModelConfig
from recdistill.models.mf import MFModel
from tests.models.test_contract import text_knowledge
from tests.synthetic import contexts_of, tiny_split


def mf(split: Split) -> MFModel:
    model: MFModel = MF(dim=4, fold_in_l2=0.2).build(split)
    return model


def test_users_of_mf_are_looked_up() -> None:
    split = tiny_split()
    model = mf(split)
    vectors = model.users.detach().numpy()
    np.testing.assert_array_equal(model.encode(split.test), vectors[split.test.users])


def test_strangers_of_mf_are_folded_in_by_ridge_regression() -> None:
    model = mf(tiny_split())
    items = model.items.detach().double().numpy()
    ridge = 0.2 * (items**2).sum(1).mean()
    stacked = np.concatenate([items[[2, 5]], np.sqrt(ridge) * np.eye(4)])
    expected, *_ = np.linalg.lstsq(stacked, np.array([1.0, 1, 0, 0, 0, 0]), rcond=None)
    np.testing.assert_allclose(model.encode(contexts_of([[2, 5, 2]]))[0], expected, rtol=1e-4)
    assert not model.encode(contexts_of([[]])).any()


def test_users_without_training_events_are_strangers_to_mf() -> None:
    split = tiny_split()
    mask = split.train.row_of_event() != 3
    model = mf(Split(split.dataset, split.train.keep(mask), split.valid, split.test, split.method))
    known, unknown = model.encode(contexts_of([[2, 5], [2, 5]], [3, -1]))
    np.testing.assert_array_equal(known, unknown)
    assert known.any()


def test_layers_of_gru_have_dropout_only_in_between() -> None:
    split = tiny_split()
    assert GRU4Rec(dropout=0.5).build(split).gru.dropout == 0
    assert GRU4Rec(dropout=0.5, layers=2).build(split).gru.dropout == 0.5


def test_only_the_newest_events_are_read() -> None:
    model = SASRec(dim=4, max_length=2).build(tiny_split())
    long, short = model.encode(contexts_of([[1, 2, 3, 4], [3, 4]]))
    np.testing.assert_allclose(long, short, rtol=1e-5)


@pytest.mark.parametrize("config", [GRU4Rec(dim=4, text="encoder"), SASRec(dim=4, text="encoder")])
def test_text_goes_into_the_item_vectors(config: ModelConfig) -> None:
    split = tiny_split()
    with_text = config.build(split, text_knowledge())
    without = config.replace(text=None).build(split)
    assert with_text.n_parameters == without.n_parameters + 40 * 6 + 4 * 6
    with pytest.raises(KnowledgeError):
        config.build(split)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="heads=3 does not divide dim=8"):
        SASRec(dim=8, heads=3)


def test_building_leaves_the_random_state_alone() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    for config in (SASRec(dim=4), GRU4Rec(dim=4), MF(dim=4)):
        config.build(tiny_split(), seed=1)
    assert torch.equal(before, torch.random.get_rng_state())


def saved(path: Path) -> RankingModel:
    model: RankingModel = Popularity().build(tiny_split())
    model.save(path)
    return model


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "m")
    write_json(tmp_path / "m/model.json", read_json(tmp_path / "m/model.json") | {"version": 99})
    with pytest.raises(RecdistillError, match="upgrade recdistill"):
        load_model(tmp_path / "m")


def test_broken_weights_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "m")
    (tmp_path / "m/weights.safetensors").write_bytes(b"12")
    with pytest.raises(RecdistillError, match="train the model again"):
        load_model(tmp_path / "m")


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecdistillError, match="no such file"):
        load_model(tmp_path / "nothing")


def test_configs_alone_are_no_models() -> None:
    with pytest.raises(TypeError):
        ModelConfig().build(tiny_split())
    with pytest.raises(TypeError):
        ModelConfig().restore(1, 1, {})
