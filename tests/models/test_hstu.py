"""HSTU against its formula in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from recdistill.errors import ConfigError, KnowledgeError
from recdistill.models import HSTU
from recdistill.training import Training, fit
from tests.models.test_contract import text_knowledge
from tests.synthetic import contexts_of, tiny_split

Array = npt.NDArray[Any]


def silu(x: Array) -> Array:
    gated: Array = x / (1 + np.exp(-x))
    return gated


def norm(x: Array, weights: dict[str, Array], name: str) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    normal: Array = scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    return normal


def naive(weights: dict[str, Array], history: list[int], heads: int, blocks: int) -> Array:
    """The state behind the newest event, one event and one head at a time."""
    dim = weights["items"].shape[1]
    x = weights["items"][history] * dim**0.5 + weights["place"][: len(history)]
    for b in range(blocks):
        own = {k.removeprefix(f"blocks.{b}."): v for k, v in weights.items() if k.startswith(f"blocks.{b}.")}
        u, v, q, k = np.split(silu(norm(x, own, "norm_input") @ own["uvqk.weight"].T + own["uvqk.bias"]), 4, axis=1)
        mixed = np.zeros_like(x)
        for h in range(heads):
            part = slice(h * dim // heads, (h + 1) * dim // heads)
            for i in range(len(history)):
                for j in range(i + 1):
                    mixed[i, part] += silu(q[i, part] @ k[j, part] + own["near"][h, i - j]) * v[j, part]
        x = x + (norm(mixed, own, "norm_mixed") * u) @ own["out.weight"].T + own["out.bias"]
    last: Array = norm(x, weights, "norm")[-1]
    return last


@pytest.mark.parametrize(("blocks", "heads"), [(0, 1), (1, 1), (2, 4)])
def test_states_are_those_of_the_paper(blocks: int, heads: int) -> None:
    model = HSTU(dim=8, blocks=blocks, heads=heads, max_length=6).build(tiny_split())
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(3)) * 0.5)
    weights = {name: value.astype(np.float64) for name, value in model.tensors().items()}
    histories = [[3, 1, 4, 1, 5], [9]]
    expected = [naive(weights, history, heads, blocks) for history in histories]
    np.testing.assert_allclose(model.encode(contexts_of(histories)), expected, atol=1e-4)


def test_only_the_newest_events_are_read() -> None:
    model = HSTU(dim=4, max_length=2).build(tiny_split())
    long, short = model.encode(contexts_of([[1, 2, 3, 4], [3, 4]]))
    np.testing.assert_allclose(long, short, rtol=1e-5)


def test_text_goes_into_the_item_vectors() -> None:
    split = tiny_split()
    config = HSTU(dim=4, text="encoder")
    with_text, without = config.build(split, text_knowledge()), config.replace(text=None).build(split)
    assert with_text.n_parameters == without.n_parameters + 40 * 6 + 4 * 6
    with pytest.raises(KnowledgeError):
        config.build(split)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="heads=3 does not divide dim=8"):
        HSTU(dim=8, heads=3)


def test_it_learns() -> None:
    split = tiny_split()
    training = Training(epochs=8, lr=0.03, warmup=0, device="cpu")
    fitted = fit(HSTU(dim=8, dropout=0.0, embedding_dropout=0.0), split, training=training)
    values = [record["valid"]["ndcg@10"] for record in fitted.history]
    assert max(values) > 1.5 * values[0]
