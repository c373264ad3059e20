"""Every export gives what the torch model gives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from recdistill.compression import Storage, export_onnx, export_triton, write_bundle
from recdistill.compression.linear import contexts_of
from recdistill.data.sequences import Sequences
from recdistill.errors import BundleError, ConfigError
from recdistill.models.ease import EASE
from recdistill.models.fism import FISM
from recdistill.models.gru4rec import GRU4Rec
from recdistill.models.hstu import HSTU
from recdistill.models.item_knn import ItemKNN
from recdistill.models.mf import MF
from recdistill.models.popularity import Popularity
from recdistill.models.sasrec import SASRec
from recdistill.serving import Bundle
from tests.synthetic import tiny_split

SPLIT = tiny_split(n_users=50, n_items=60)
CONFIGS = {
    "sasrec": SASRec(dim=8, max_length=6),
    "gru4rec": GRU4Rec(dim=8, max_length=6),
    "hstu": HSTU(dim=8, heads=2, max_length=6),
    "fism": FISM(dim=8, max_length=6),
    "mf": MF(dim=8),
    "ease": EASE(),
    "item-knn": ItemKNN(),
    "popularity": Popularity(),
}
HISTORIES = [[3], [7, 12, 7, 1], [*range(9)], [59, 0], [5] * 3]


def made(name: str) -> Any:
    """A model whose weights are far from where they begin."""
    model = CONFIGS[name].build(SPLIT, seed=3)
    if isinstance(model, torch.nn.Module):
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for value in model.parameters():
                value.add_(torch.randn(value.shape, generator=generator) * 0.2)
        model.eval()
    return model


def ask(path: Path, histories: list[list[str]] | list[list[int]], nobody: Any) -> tuple[Any, Any]:
    """Items and scores; histories are padded to one length."""
    length = max(map(len, histories))
    rows = [[*row, *[nobody] * (length - len(row))] for row in histories]
    given = np.array(rows, dtype=object if isinstance(nobody, str) else np.int64)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    items, scores = session.run(None, {"history": given})
    return items, scores


@pytest.mark.parametrize("name", CONFIGS)
def test_lists_are_those_of_the_model(name: str, tmp_path: Path) -> None:
    model = made(name)
    bundle = Bundle.open(write_bundle(model, SPLIT.dataset, tmp_path / "b", vectors="float32"))
    export_onnx(bundle, tmp_path / "model.onnx", n=10)
    ids = bundle.items.ids
    items, scores = ask(tmp_path / "model.onnx", [[ids[at] for at in row] for row in HISTORIES], "")
    # fold-in fits a user to the history; the model knows only users of the log, so the reference is the bundle there
    contexts = contexts_of(Sequences.from_lists(HISTORIES))
    expected = bundle.score(contexts) if name == "mf" else model.score(contexts)
    for row, history in enumerate(HISTORIES):
        expected[row, history] = -np.inf
        wanted = np.argsort(-expected[row], kind="stable")[:10]
        np.testing.assert_allclose(scores[row], expected[row, wanted], rtol=1e-3, atol=1e-4)
        got = [ids.index(item) for item in items[row]]
        np.testing.assert_allclose(expected[row, got], expected[row, wanted], rtol=1e-3, atol=1e-4)
        assert not set(got) & set(history)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_no_item_is_passed_over(name: str, tmp_path: Path) -> None:
    bundle = Bundle.open(write_bundle(made(name), SPLIT.dataset, tmp_path / "b"))
    export_onnx(bundle, tmp_path / "model.onnx", n=5)
    items, scores = ask(tmp_path / "model.onnx", [["i1", "i2"], ["", "i1", "unheard of", "i2"], ["", "?"], []], "")
    np.testing.assert_array_equal(items[0], items[1])
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4, atol=1e-5)
    for row in (2, 3):
        assert items[row].tolist() == [one.item for one in bundle.recommend([], 5)]
    np.testing.assert_allclose(
        scores[0], [one.score for one in bundle.recommend(["i1", "i2"], 5)], rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_a_deflated_bundle_gives_the_same(name: str, tmp_path: Path) -> None:
    graphs = []
    for deflate in (False, True):
        storage = Storage(vectors="int8", deflate=deflate)
        bundle = Bundle.open(write_bundle(made(name), SPLIT.dataset, tmp_path / f"b{deflate}", vectors=storage))
        graphs.append(ask(export_onnx(bundle, tmp_path / f"{deflate}.onnx", n=10), [["i3"], ["i7", "i1"]], ""))
    for plain, deflated in zip(*graphs, strict=True):
        np.testing.assert_array_equal(plain, deflated)


@pytest.mark.parametrize("vectors", ["float16", "int8", "int4", "pq"])
@pytest.mark.parametrize("name", ["sasrec", "fism", "mf", "ease"])
def test_numbers_are_those_of_the_bundle_however_they_are_stored(name: str, vectors: str, tmp_path: Path) -> None:
    bundle = Bundle.open(write_bundle(made(name), SPLIT.dataset, tmp_path / "b", vectors=vectors))
    export_onnx(bundle, tmp_path / "model.onnx", n=59, ids=False)
    items, scores = ask(tmp_path / "model.onnx", HISTORIES, -1)
    for row, history in enumerate(HISTORIES):
        expected = bundle.recommend_indices(np.array(history), 59)
        count = len(expected[0])
        np.testing.assert_allclose(scores[row, :count], expected[1], rtol=2e-3, atol=1e-3)
        assert set(items[row, :count]) == set(expected[0].tolist())
        assert (items[row, count:] == -1).all()
        assert np.isneginf(scores[row, count:]).all()


def test_seen_items_may_come_if_they_shall(tmp_path: Path) -> None:
    bundle = Bundle.open(write_bundle(made("sasrec"), SPLIT.dataset, tmp_path / "b"))
    export_onnx(bundle, tmp_path / "model.onnx", n=60, exclude_history=False)
    items, _ = ask(tmp_path / "model.onnx", [["i1", "i2"]], "")
    assert {*items[0]} == {*bundle.items.ids}


def test_impossible_lists_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.open(write_bundle(made("popularity"), SPLIT.dataset, tmp_path / "b"))
    for n in (0, 61):
        with pytest.raises(ConfigError, match="cannot be listed out of 60"):
            export_onnx(bundle, tmp_path / "model.onnx", n=n)
    monkeypatch.setattr("recdistill.compression.export._LARGEST", 100)
    with pytest.raises(BundleError, match="do not fit into one ONNX file"):
        export_onnx(bundle, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("name", ["sasrec", "mf"])
def test_a_triton_repository_is_what_its_configuration_says(name: str, tmp_path: Path) -> None:
    bundle = Bundle.open(write_bundle(made(name), SPLIT.dataset, tmp_path / "b", vectors="float32"))
    folder = export_triton(bundle, tmp_path / "models", "films", n=7)
    assert folder == tmp_path / "models" / "films"
    config = (folder / "config.pbtxt").read_text(encoding="utf-8")
    assert 'name: "films"\nbackend: "onnxruntime"\n' in config
    assert int(re.findall(r"max_batch_size: (\d+)", config)[0]) > 0
    said = re.findall(r'{ name: "(\w+)", data_type: TYPE_(\w+), dims: \[ (-?\d+) \] }', config)
    model = onnx.load(folder / "1" / "model.onnx")
    kinds = {onnx.TensorProto.FLOAT: "FP32", onnx.TensorProto.STRING: "STRING"}
    there = []
    for value in (*model.graph.input, *model.graph.output):
        batch, length = value.type.tensor_type.shape.dim
        assert batch.dim_param  # it is not named in the configuration, because max_batch_size is above 0
        there.append((value.name, kinds[value.type.tensor_type.elem_type], str(length.dim_value or -1)))
    assert said == there
    items, scores = ask(folder / "1" / "model.onnx", [["i1", "i2"]], "")
    expected = bundle.recommend(["i1", "i2"], 7)
    assert items[0].tolist() == [one.item for one in expected]
    np.testing.assert_allclose(scores[0], [one.score for one in expected], rtol=1e-3, atol=1e-4)


def test_a_name_that_is_no_name_is_refused(tmp_path: Path) -> None:
    bundle = Bundle.open(write_bundle(made("popularity"), SPLIT.dataset, tmp_path / "b"))
    for name in ("../films", "", "a b"):
        with pytest.raises(ConfigError, match="is no name"):
            export_triton(bundle, tmp_path / "models", name)
