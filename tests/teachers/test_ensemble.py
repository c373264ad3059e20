from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from recdistill.data.dataset import Contexts
from recdistill.data.sequences import Sequences
from recdistill.errors import ConfigError, TeacherError
from recdistill.models import ItemKNN, Popularity, RankingModel
from recdistill.models.base import Floats, ModelConfig
from recdistill.teachers.ensemble import Ensemble
from recdistill.teachers.fusion import Shortlist, Validation, best_temperature, search_weights
from recdistill.testing import contexts_of, tiny_split

SPLIT = tiny_split(n_users=80, n_items=30)


class Oracle(RankingModel):
    """Scores the target higher by a margin, everything else at random."""

    config = ModelConfig()
    n_items, n_users = SPLIT.n_items, 0

    def __init__(self, seed: int, margin: float) -> None:
        self.seed, self.margin = seed, margin

    def score(self, contexts: Contexts) -> Floats:
        scores = np.random.default_rng(self.seed).normal(size=(len(contexts), self.n_items)).astype(np.float32)
        scores[contexts.targets.row_of_event(), contexts.targets.items] += self.margin
        return scores

    def tensors(self) -> dict[str, np.ndarray]:
        return {"seed": np.array([self.seed])}


def _ndcg(model: RankingModel, contexts: Contexts) -> float:
    scores = model.score(contexts)
    for row in range(len(contexts)):
        scores[row, contexts.history[row]] = -np.inf
    own = scores[np.arange(len(scores)), contexts.targets.items]
    ranks = (scores > own[:, None]).sum(1)
    return float(np.where(ranks < 10, 1 / np.log2(ranks + 2), 0).mean())


@pytest.mark.parametrize("metric", ["ndcg@10", "likelihood"])
def test_good_members_get_the_weight(metric: str) -> None:
    members = {"noise": Oracle(1, 0.0), "good": Oracle(2, 2.0), "also good": Oracle(3, 2.0)}
    ensemble = Ensemble.fit(members, SPLIT.valid, metric=metric, exclude_seen=False)
    weights = ensemble.weights_by_name()
    assert sum(weights.values()) == pytest.approx(1, abs=1e-3)
    assert min(weights["good"], weights["also good"]) > weights["noise"]


def test_better_than_each_member_on_validation() -> None:
    members = {"knn": ItemKNN().build(SPLIT), "popularity": Popularity().build(SPLIT)}
    ensemble = Ensemble.fit(members, SPLIT.valid)
    assert _ndcg(ensemble, SPLIT.valid) >= max(_ndcg(m, SPLIT.valid) for m in members.values()) - 0.01


def test_score_by_hand() -> None:
    a, b = Oracle(1, 0.0), Oracle(2, 1.0)
    contexts = SPLIT.valid.take(np.arange(4))
    fused = Ensemble({"a": a, "b": b}, [0.25, 0.75], [0.5, 2.0], 0.8).score(contexts)
    by_hand = (
        0.25 * log_softmax(a.score(contexts) / 0.5, axis=1) + 0.75 * log_softmax(b.score(contexts) / 2.0, axis=1)
    ) / 0.8
    np.testing.assert_allclose(fused, by_hand, atol=1e-4)


def test_temperature_is_the_most_likely_one() -> None:
    data = Validation.of(SPLIT.valid, 1000, 1, hidden=False)
    scores = Ensemble({"a": Oracle(1, 2.0)}).fuse([_tensor(Oracle(1, 2.0).score(data.contexts) * 37)])
    found = best_temperature(data, scores)
    grid = [data.likelihood(scores, t) for t in np.geomspace(found / 5, found * 5, 41)]
    assert data.likelihood(scores, found) >= max(grid) - 1e-4
    assert 10 < found < 120


def test_fused_softmax_is_calibrated() -> None:
    ensemble = Ensemble.fit({"a": Oracle(1, 3.0), "b": Oracle(2, 1.0)}, SPLIT.valid, exclude_seen=False)
    logs = log_softmax(ensemble.score(SPLIT.valid), axis=1)[np.arange(len(SPLIT.valid)), SPLIT.valid.targets.items]
    for factor in (0.7, 1.4):
        other = Ensemble(ensemble.members, ensemble.weights, ensemble.temperatures, ensemble.temperature * factor)
        scores = log_softmax(other.score(SPLIT.valid), axis=1)
        assert scores[np.arange(len(SPLIT.valid)), SPLIT.valid.targets.items].mean() < logs.mean()


def test_one_member_and_items_that_cannot_be_scored() -> None:
    class Silent(Oracle):
        def score(self, contexts: Contexts) -> Floats:
            scores = super().score(contexts)
            scores[:, :5] = -np.inf
            scores[0] = -np.inf
            return scores

    ensemble = Ensemble.fit({"silent": Silent(1, 1.0)}, SPLIT.valid)
    assert ensemble.weights == (1.0,)
    assert np.isfinite(ensemble.score(SPLIT.valid)).all()


def test_several_targets_and_few_contexts() -> None:
    two = Sequences.from_lists([[1, 2], [], [3, 4, 5]])
    contexts = replace(contexts_of([[0], [0], [0]]), targets=two)
    data = Validation.of(contexts, 10, 1, hidden=True)
    assert len(data.contexts) == 2
    assert data.rows.tolist() == [0, 0, 1, 1, 1]
    assert len(Validation.of(SPLIT.valid, 7, 1, hidden=True).contexts) == 7
    short = Shortlist.of(data, lambda asked: [_tensor(Oracle(1, 1.0).score(asked))], 1)
    assert search_weights(1, short.ndcg) == (1.0,)


def test_the_short_lists_rank_targets_as_all_items_do() -> None:
    """Against NDCG over the whole catalogue, with several targets in a context and more items than are kept."""
    rng, n_items = np.random.default_rng(0), 700
    histories = [rng.choice(n_items, 5, replace=False).tolist() for _ in range(40)]
    wanted = [rng.choice(n_items, 3, replace=False).tolist() for _ in range(40)]
    contexts = replace(contexts_of(histories), targets=Sequences.from_lists(wanted))
    data = Validation.of(contexts, 40, 1, hidden=True)
    logs = [torch.from_numpy(rng.normal(size=(40, n_items)).astype(np.float32)) for _ in range(3)]
    for z in logs:
        z[data.rows, data.targets] += 2.0
    number = {tuple(row): place for place, row in enumerate(histories)}

    def score(asked: Contexts) -> list[torch.Tensor]:
        rows = [number[tuple(asked.history[at].tolist())] for at in range(len(asked))]
        return [z[rows] for z in logs]

    short = Shortlist.of(data, score, n_items * 20_000)
    for weights in ((0.2, 0.3, 0.5), (0.0, 1.0, 0.0)):
        fused = data.allowed(sum((w * z for w, z in zip(weights, logs, strict=True)), torch.zeros(())))
        own = fused[data.rows, data.targets]
        ahead = (fused[data.rows] > own[:, None]).sum(1).double()
        wanted_ndcg = torch.where(ahead < 10, 1 / torch.log2(ahead + 2), 0.0).mean()
        assert short.ndcg(weights) == pytest.approx(float(wanted_ndcg), abs=1e-6)


def test_targets_seen_before_tell_nothing_where_the_history_is_hidden() -> None:
    contexts = replace(contexts_of([[1, 2], [0], [3]]), targets=Sequences.from_lists([[1], [0, 3], [3, 1, 2]]))
    data = Validation.of(contexts, 10, 1, hidden=True)
    assert (data.rows.tolist(), data.targets.tolist()) == ([0, 1, 1], [3, 1, 2])
    allowed = data.allowed(_tensor(np.zeros((2, 4), np.float32)))
    assert allowed.tolist() == [[-np.inf, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, -np.inf]]
    assert Validation.of(contexts, 10, 1, hidden=False).targets.tolist() == [1, 0, 3, 3, 1, 2]
    with pytest.raises(TeacherError, match="no validation targets"):
        Validation.of(contexts.take([0]), 10, 1, hidden=True)


def test_repeats_among_the_targets_do_not_move_the_fusion() -> None:
    repeated = replace(SPLIT.valid, targets=SPLIT.valid.history.last(1).concat(SPLIT.valid.targets))
    members = {"knn": ItemKNN().build(SPLIT), "popularity": Popularity().build(SPLIT)}
    with_them, without = Ensemble.fit(members, repeated), Ensemble.fit(members, SPLIT.valid)
    assert with_them.weights == without.weights
    assert with_them.temperatures == without.temperatures


def test_saved_and_loaded(tmp_path: Path) -> None:
    members = {"a": Oracle(1, 0.5), "b": Oracle(2, 1.0)}
    ensemble = Ensemble.fit(members, SPLIT.valid, metric="likelihood")
    ensemble.save_weights(tmp_path / "e.json")
    again = Ensemble.load_weights(tmp_path / "e.json", members)
    np.testing.assert_array_equal(again.score(SPLIT.valid), ensemble.score(SPLIT.valid))
    assert again.config == ensemble.config
    assert set(ensemble.tensors()) == {"weights", "temperatures", "temperature", "a.seed", "b.seed"}
    other = ensemble.with_members({"b": Oracle(9, 0), "a": Oracle(8, 0)})
    assert [m.seed for m in other.members.values()] == [8, 9]  # type: ignore[attr-defined]


def test_what_does_not_fit(tmp_path: Path) -> None:
    a = Oracle(1, 0.5)
    with pytest.raises(TeacherError, match="one catalogue"):
        Ensemble({"a": a, "b": Popularity().build(tiny_split(n_items=12))})
    with pytest.raises(TeacherError, match="one catalogue"):
        Ensemble({})
    with pytest.raises(ConfigError, match="1 members need 1 weights"):
        Ensemble({"a": a}, [0.5, 0.5])
    with pytest.raises(ConfigError, match="none negative"):
        Ensemble({"a": a, "b": a}, [1.5, -0.5])
    with pytest.raises(TeacherError, match="member 'a' is missing"):
        Ensemble({"a": a}).with_members({"b": a})
    with pytest.raises(TeacherError, match="no validation targets"):
        Ensemble.fit({"a": a}, contexts_of([[1]]))
    file = tmp_path / "e.json"
    Ensemble({"a": a}).save_weights(file)
    with pytest.raises(TeacherError, match="member 'a' is missing"):
        Ensemble.load_weights(file, {"b": a})
    file.write_text(json.dumps({"members": ["a"]}))
    with pytest.raises(TeacherError, match="not the weights"):
        Ensemble.load_weights(file, {"a": a})


def _tensor(values: np.ndarray):  # type: ignore[no-untyped-def]
    import torch

    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
