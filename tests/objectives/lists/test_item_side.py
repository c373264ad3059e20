"""Rankings of users for an item."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recdistill.models import MF, SASRec
from recdistill.models.neural import NeuralConfig, NeuralModel
from recdistill.objectives import IRRRD, DCDItem
from recdistill.objectives.lists.comparisons import ListMLE
from recdistill.objectives.lists.item_side import ItemSide, ItemSideConfig, Whole, exchanged
from recdistill.objectives.lists.samplers import Beside, Top, Unlisted
from recdistill.objectives.lists.scene import Picked
from tests.objectives.inside import features, taught
from tests.objectives.naive import NaiveScores
from tests.synthetic import tiny_split

SPLIT = tiny_split(n_users=30, n_items=20)


@given(data=st.data(), depth=st.integers(1, 6))
def test_exchanged(data: st.DataObject, depth: int) -> None:
    lists = [
        data.draw(st.lists(st.integers(0, 7), unique=True, max_size=5)) for _ in range(data.draw(st.integers(1, 6)))
    ]
    items = torch.tensor([row + [-1] * (5 - len(row)) for row in lists])
    keys = torch.rand(items.shape)
    asked = torch.tensor(data.draw(st.lists(st.integers(0, 7), unique=True, min_size=1)))
    rows, kept = exchanged(items, keys, asked, 8, depth)
    for number, item in enumerate(asked.tolist()):
        have = [(keys[r, row.index(item)].item(), r) for r, row in enumerate(lists) if item in row]
        wanted = [r for _, r in sorted(have, reverse=True)[:depth]]
        assert [r for r in rows[number].tolist() if r >= 0] == wanted
        assert rows[number, : len(wanted)].tolist() == wanted
        assert kept[number, : len(wanted)].tolist() == [keys[r, lists[r].index(item)].item() for r in wanted]
        assert kept[number, len(wanted) :].isneginf().all()


def test_whole_scores_are_those_of_a_matrix() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(4, 6)
    whole, naive = Whole(matrix), NaiveScores(matrix)
    items, without = torch.tensor([[0, 3], [5, 5], [1, 0], [2, 4]]), torch.tensor([[3, -1], [0, 1], [-1, -1], [2, 5]])
    assert whole.n_items == 6
    torch.testing.assert_close(whole.of(items), naive.of(items))
    for out in (None, without):
        torch.testing.assert_close(whole.logsumexp(2.0, out), naive.logsumexp(2.0, out))
        assert whole.top(5, out).tolist() == naive.top(5, out).tolist()
        assert whole.ranks(items, out).tolist() == naive.ranks(items, out).tolist()


def likelihood(scores: np.ndarray, order: list[int], below: list[int]) -> float:
    """Mean over the places of −log of the Plackett-Luce probability, some below all."""
    rest = [np.exp(scores[order[place:]]).sum() + np.exp(scores[below]).sum() for place in range(len(order))]
    return float(np.mean([np.log(total) - scores[user] for total, user in zip(rest, order, strict=True)]))


@pytest.mark.parametrize("config", [MF(dim=4), SASRec(dim=4)])
def test_formula(config: NeuralConfig, tmp_path: Path) -> None:
    known, model = taught(tmp_path, MF(dim=6), SPLIT, k=5), config.build(SPLIT)
    assert isinstance(model, NeuralModel)
    objective = ItemSide(ItemSideConfig(items=100, depth=4), Top(), ListMLE())
    objective.prepare(model.eval(), SPLIT, known, 0)
    inside = features(model, SPLIT, objective, known)
    got = objective.loss(inside).item()
    lists = inside.rankings["big"]
    scores = (inside.table @ inside.hidden.T).detach().numpy().astype(np.float64)
    having: dict[int, list[tuple[float, int]]] = {}
    for row, (items, logp) in enumerate(zip(lists.items.tolist(), lists.logp.tolist(), strict=True)):
        for item, value in zip(items, logp, strict=True):
            if value > -np.inf and lists.confidence[row] > 0:
                having.setdefault(item, []).append((value, row))
    asked = [item for item, rows in having.items() if len(rows) > 1]
    relative = scores - scores[asked].mean(0)
    values = []
    for item in asked:
        order = [row for _, row in sorted(having[item], key=lambda pair: (-pair[0], pair[1]))[:4]]
        values.append(likelihood(relative[item], order, []))
    assert got == pytest.approx(np.mean(values), rel=1e-4)


def test_below_are_users_whose_list_lacks_the_item_and_who_do_not_have_it(tmp_path: Path) -> None:
    known, model = taught(tmp_path, MF(dim=6), SPLIT, k=5), MF(dim=4).build(SPLIT)
    found: list[Picked] = []

    class Keep(ListMLE):
        def __call__(self, scores: Tensor, picked: Picked, weights: Tensor, n_items: int) -> Tensor:
            found.append(picked)
            return super().__call__(scores, picked, weights, n_items)

    objective = ItemSide(ItemSideConfig(items=100), Beside(Top(), Unlisted(200)), Keep())
    objective.prepare(model, SPLIT, known, 0)
    inside = features(model, SPLIT, objective, known)
    objective.loss(inside)
    (picked,) = found
    lists, labels = inside.rankings["big"].items, inside.batch.labels
    asked = {tuple(row[o].tolist()) for row, o in zip(picked.items, picked.ordered, strict=True)}
    for users, ordered, real in zip(picked.items, picked.ordered, picked.real, strict=True):
        above, below = users[ordered].tolist(), users[real & ~ordered].tolist()
        items = set.intersection(*(set(lists[user].tolist()) for user in above))
        others = [item for item in items if not any(item in lists[user] or item in labels[user] for user in below)]
        assert others  # one of the items that all of them are recommended is the one asked for
        assert len(below) > 3
    assert len(asked) > 1


@pytest.mark.parametrize("config", [IRRRD(items=6, k=3), DCDItem(items=6, k=3)])
def test_the_methods_lead_to_the_teachers_order(config: ItemSideConfig, tmp_path: Path) -> None:
    known, model = taught(tmp_path, MF(dim=6), SPLIT, k=8), MF(dim=6).build(SPLIT)
    objective = config.build()
    assert isinstance(objective, ItemSide)
    objective.prepare(model, SPLIT, known, 0)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    torch.manual_seed(0)
    losses = []
    for _ in range(60):
        loss = objective.loss(features(model, SPLIT, objective, known))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:3])


def test_a_step_without_lists_costs_nothing(tmp_path: Path) -> None:
    known, model = taught(tmp_path, MF(dim=6), SPLIT, k=5), MF(dim=4).build(SPLIT)
    objective = IRRRD().build()
    objective.prepare(model, SPLIT, known, 0)
    inside = features(model, SPLIT, objective, known)
    inside.rankings["big"].confidence.zero_()
    loss = objective.loss(inside)
    loss.backward()
    assert loss.item() == 0
