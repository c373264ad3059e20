from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recdistill.compression.graph import gru_graph, hstu_graph, sasrec_graph
from recdistill.data.dataset import Split
from recdistill.models.gru4rec import GRU4Rec
from recdistill.models.hstu import HSTU
from recdistill.models.sasrec import SASRec
from recdistill.serving.scorers import session


def _shaken(module: Any) -> Any:
    """Weights far from their initial values, so that no part of the graph is the identity by chance."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in module.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
    return module.eval()


def _both(model: Any, graph: bytes, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Context vectors of histories of several lengths: by the network, each alone; by the graph, padded with noise."""
    vectors = np.random.default_rng(0).normal(size=(4, 8, dim)).astype(np.float32)
    lengths = [8, 1, 5, 7]
    with torch.inference_mode():
        alone = [
            model.run(torch.from_numpy(v[None, :n]) * dim**0.5)[0, -1] for v, n in zip(vectors, lengths, strict=True)
        ]
    feed = {"vectors": vectors, "last": np.array(lengths, dtype=np.int64) - 1}
    return torch.stack(alone).numpy(), session(graph).run(None, feed)[0]


@pytest.mark.parametrize(("blocks", "heads"), [(0, 1), (1, 1), (1, 4), (3, 2)])
def test_sasrec_agrees_with_torch(split: Split, blocks: int, heads: int) -> None:
    model = _shaken(SASRec(dim=16, blocks=blocks, heads=heads, max_length=8).build(split))
    graph = sasrec_graph(model.tensors(), width=16 // heads, blocks=blocks)
    expected, got = _both(model, graph, 16)
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("layers", [1, 2])
def test_gru4rec_agrees_with_torch(split: Split, layers: int) -> None:
    model = _shaken(GRU4Rec(dim=12, layers=layers, max_length=8).build(split))
    graph = gru_graph(model.tensors(), layers=layers)
    expected, got = _both(model, graph, 12)
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize(("blocks", "heads"), [(0, 1), (1, 4), (3, 2)])
def test_hstu_agrees_with_torch(split: Split, blocks: int, heads: int) -> None:
    model = _shaken(HSTU(dim=16, blocks=blocks, heads=heads, max_length=8).build(split))
    graph = hstu_graph(model.tensors(), width=16 // heads, blocks=blocks)
    expected, got = _both(model, graph, 16)
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize(("precision", "room"), [("float16", 0.01), ("int8", 0.1), ("int4", 1.0)])
def test_fewer_bits_come_near_and_are_smaller(split: Split, precision: str, room: float) -> None:
    model = _shaken(SASRec(dim=32, max_length=8).build(split))
    tensors = model.tensors()
    whole = sasrec_graph(tensors, width=16, blocks=2)
    small = sasrec_graph(tensors, width=16, blocks=2, precision=precision)  # type: ignore[arg-type]
    expected, got = _both(model, small, 32)
    assert np.abs(got - expected).max() < room * np.abs(expected).max()
    assert len(small) < 0.7 * len(whole)
