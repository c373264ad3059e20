"""SLIST against dense linear algebra."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recdistill.errors import TrainingError
from recdistill.evaluation import metric_values, rank
from recdistill.models import SLIST, Popularity, slist
from recdistill.models.base import RankingModel, load_model
from tests.synthetic import contexts_of, tiny_split

SPLIT = tiny_split()
CONFIG = SLIST(l2=3.0, history_power=0.7, horizon=3, horizon_decay=0.8, max_history=4)


def x_of(history: list[int]) -> np.ndarray:
    """A context vector by the docstring."""
    x = np.zeros(SPLIT.n_items)
    for age, item in enumerate(reversed(history[-CONFIG.max_history :]), start=1):
        x[item] += age**-CONFIG.history_power
    return x / np.linalg.norm(x)


def matrix_by_hand() -> np.ndarray:
    xs, ys = [], []
    for row in range(len(SPLIT.train)):
        events = SPLIT.train[row].tolist()
        for at in range(1, len(events)):
            coming = events[at : at + CONFIG.horizon]
            y = np.zeros(SPLIT.n_items)
            for step, item in enumerate(coming):
                y[item] += CONFIG.horizon_decay**step
            xs.append(x_of(events[:at]))
            ys.append(y / y.sum())
    x, y = np.array(xs), np.array(ys)
    return np.linalg.solve(x.T @ x + CONFIG.l2 * np.eye(SPLIT.n_items), x.T @ y)


@pytest.mark.parametrize("rows", [10, 8192])
def test_formula(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slist, "_ROWS", rows)
    model = CONFIG.build(SPLIT)
    by_hand = matrix_by_hand()
    np.testing.assert_allclose(model.tensors()["matrix"], by_hand, rtol=1e-3, atol=1e-5)
    histories = [[3, 4, 5, 4, 9, 3], [7], []]
    scores = model.score(contexts_of(histories))
    assert scores.dtype == np.float32
    for row in (0, 1):
        np.testing.assert_allclose(scores[row], x_of(histories[row]) @ by_hand, rtol=1e-3, atol=1e-5)
    assert not scores[2].any()


def test_beats_popularity() -> None:
    def ndcg(model: RankingModel) -> float:
        ranked = rank(model, SPLIT.test, 10)
        return float(np.nanmean(metric_values(ranked, SPLIT.test.targets, "ndcg@10")))

    assert ndcg(SLIST(l2=1.0).build(SPLIT)) > 1.2 * ndcg(Popularity().build(SPLIT))


def test_saved_and_loaded(tmp_path: Path) -> None:
    model = CONFIG.build(SPLIT)
    model.save(tmp_path / "slist")
    np.testing.assert_array_equal(load_model(tmp_path / "slist").score(SPLIT.test), model.score(SPLIT.test))


def test_large_catalogues_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"matrix of 40² items.*raise max_items"):
        SLIST(max_items=39).build(SPLIT)
