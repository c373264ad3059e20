"""EASE through the users × users system gives the scores of EASE."""

from __future__ import annotations

import numpy as np
import pytest

from recdistill.errors import ConfigError
from recdistill.models import EASE, DualEASE
from tests.models.test_closed_form import steck
from tests.synthetic import contexts_of, tiny_split


@pytest.mark.parametrize("n_users", [60, 20])
@pytest.mark.parametrize(("exact", "sparse"), [(True, False), (False, False), (True, True)])
def test_scores_are_those_of_the_papers_matrix(
    n_users: int, exact: bool, sparse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recdistill.models.dual_ease._EXACT", 5_000 if exact else 0)
    monkeypatch.setattr("recdistill.models.dual_ease._SPARSE", float(sparse))
    monkeypatch.setattr("recdistill.models.dual_ease._COLUMNS", 7)
    split = tiny_split(n_users)
    weights = steck(split, 3)
    scores = DualEASE(l2=3, decay=0.5).build(split).score(contexts_of([[9, 4], [4], [], [7, 4, 7]]))
    expected = np.stack([weights[4] + 0.5 * weights[9], weights[4], 0 * weights[4], weights[7] + 0.5 * weights[4]])
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_users_without_training_events_cost_nothing() -> None:
    split = tiny_split(20)
    model = DualEASE(l2=3).build(split)
    mask = split.train.row_of_event() != 3
    fewer = DualEASE(l2=3).build(type(split)(split.dataset, split.train.keep(mask), split.valid, split.test, "less"))
    assert model.inverse.shape == (20, 20)
    assert fewer.inverse.shape == (19, 19)


def test_an_empty_history_is_ranked_by_popularity() -> None:
    split = tiny_split()
    model = DualEASE().build(split)
    np.testing.assert_array_equal(
        np.argsort(-model.score(contexts_of([[]]))[0], kind="stable"), np.argsort(-split.popularity, kind="stable")
    )


def test_only_the_newest_events_are_used() -> None:
    split = tiny_split()
    model, ease = DualEASE(l2=3, max_history=2).build(split), EASE(l2=3).build(split)
    np.testing.assert_allclose(
        model.score(contexts_of([[1, 2, 3]])), ease.score(contexts_of([[2, 3]])), rtol=1e-4, atol=1e-6
    )


def test_many_users_are_refused_and_the_way_out_is_named() -> None:
    with pytest.raises(ConfigError, match="use ease or item-knn"):
        DualEASE(max_users=59).build(tiny_split())
