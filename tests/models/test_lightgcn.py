"""LightGCN against dense products, its gradient, and what happens to strangers."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import pytest
import torch

from recdistill.data.dataset import Split
from recdistill.models import LightGCN
from recdistill.models.lightgcn import LightGCNModel
from recdistill.models.mf import fold_in
from recdistill.training import Training, fit
from tests.synthetic import contexts_of, tiny_split


def model_of(split: Split, layers: int = 2) -> LightGCNModel:
    model: LightGCNModel = LightGCN(dim=4, layers=layers).build(split)
    return model


def dense_graph(split: Split) -> npt.NDArray[np.float64]:
    """The normalised adjacency, entry by entry as the paper defines it."""
    known = np.zeros((split.n_users, split.n_items))
    known[split.train.row_of_event(), split.train.items] = 1
    graph = np.zeros((split.n_users + split.n_items,) * 2)
    graph[: split.n_users, split.n_users :] = known
    graph[split.n_users :, : split.n_users] = known.T
    degree = np.maximum(graph.sum(1), 1)
    normalised: npt.NDArray[np.float64] = graph / np.sqrt(degree[:, None] * degree)
    return normalised


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_vectors_are_the_mean_over_the_layers(layers: int) -> None:
    split = tiny_split()
    model = model_of(split, layers)
    start = torch.cat([model.users, model.items]).detach().double().numpy()
    graph = dense_graph(split)
    expected = sum(np.linalg.matrix_power(graph, k) @ start for k in range(layers + 1)) / (layers + 1)
    users, items = model.spread()
    np.testing.assert_allclose(torch.cat([users, items]).detach(), expected, atol=1e-5)
    np.testing.assert_allclose(model.encode(split.test), expected[split.test.users], atol=1e-5)


def test_gradients_are_those_of_the_dense_product() -> None:
    split = tiny_split()
    model = model_of(split)
    weights = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    table = model.table()
    states = model.states(torch.arange(5), torch.zeros(5, 1, dtype=torch.int64), table)[:, 0]
    torch.autograd.backward((states @ table.T * weights).sum())
    start = torch.cat([model.users, model.items]).detach().double().requires_grad_()
    graph = torch.from_numpy(dense_graph(split))
    final = (start + graph @ start + graph @ graph @ start) / 3
    torch.autograd.backward((final[:5] @ final[60:].T * weights).sum())
    assert start.grad is not None
    assert model.users.grad is not None
    assert model.items.grad is not None
    np.testing.assert_allclose(torch.cat([model.users.grad, model.items.grad]), start.grad, atol=1e-5)


def test_the_graph_is_spread_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(tiny_split())
    calls: list[str] = []
    spread = LightGCNModel.spread

    def counted(self: LightGCNModel) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append("spread")
        return spread(self)

    monkeypatch.setattr(LightGCNModel, "spread", counted)
    users, inputs = torch.arange(3), torch.zeros(3, 1, dtype=torch.int64)
    table = model.table()
    fresh = model.states(users, inputs, table)
    assert len(calls) == 1
    np.testing.assert_array_equal(model.states(users, inputs, table.clone()).detach(), fresh.detach())
    assert len(calls) == 2


def test_strangers_are_folded_in() -> None:
    split = tiny_split()
    mask = split.train.row_of_event() != 3
    model = model_of(Split(split.dataset, split.train.keep(mask), split.valid, split.test, split.method))
    asked = contexts_of([[2, 5], [2, 5]], [3, -1])
    expected = fold_in(model.item_vectors(), asked.history, 0.1)
    np.testing.assert_array_equal(model.encode(asked), expected)
    assert expected.any()


def test_a_copy_is_independent_and_scores_alike() -> None:
    split = tiny_split()
    model = model_of(split)
    model.table()
    again = copy.deepcopy(model)
    np.testing.assert_array_equal(again.score(split.test), model.score(split.test))
    with torch.no_grad():
        again.items.zero_()
    assert model.items.any()


def test_it_learns() -> None:
    split = tiny_split()
    fitted = fit(LightGCN(dim=8), split, training=Training(epochs=30, lr=0.05, warmup=0, device="cpu"))
    values = [record["valid"]["ndcg@10"] for record in fitted.history]
    assert max(values) > 1.2 * values[0]


def test_reduced_precision_trains() -> None:
    fitted = fit(LightGCN(dim=4), tiny_split(), training=Training(epochs=1, precision="bf16", device="cpu"))
    assert fitted.best_epoch == 1
