from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import recdistill.evaluation as evaluation
from recdistill.data.dataset import Contexts, Split
from recdistill.data.popular import head_items
from recdistill.errors import ConfigError, MissingExtraError
from recdistill.evaluation import Evaluation, evaluate, metric_values, rank, tune_baselines
from recdistill.models import EASE, MF, ItemKNN, ModelConfig, Popularity, RankingModel
from tests.synthetic import tiny_split


class Repeats(RankingModel):
    """Recommends the history."""

    config, n_items, n_users = ModelConfig(), tiny_split().n_items, 0

    def score(self, contexts: Contexts) -> npt.NDArray[np.float32]:
        scores = np.zeros((len(contexts), self.n_items), np.float32)
        scores[contexts.history.row_of_event(), contexts.history.items] = 1
        return scores

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {}


@cache
def found() -> Evaluation:
    split = tiny_split()
    seeds = [MF(dim=4).build(split, seed=seed) for seed in (0, 1)]
    models = {"knn": ItemKNN().build(split), "popular": Popularity().build(split), "mf": seeds}
    return evaluate(models, split, teacher=EASE().build(split))


def test_models_that_read_the_history_beat_popularity() -> None:
    comparison = found().compare("knn", "popular")
    assert comparison.verdict == "better"
    assert set(found().unbeaten("popular", ["knn", "teacher", "absent"])) == {"knn", "teacher"}
    assert found().unbeaten("knn", ["popular"]) == {}


def test_means_are_those_of_the_metric_on_the_ranked_lists() -> None:
    split = tiny_split()
    ranked = rank(Popularity().build(split), split.test, 20)
    expected = metric_values(ranked, split.test.targets, "ndcg@10")
    np.testing.assert_array_equal(found().values("ndcg@10", "popular"), expected[None])
    assert found().mean("ndcg@10", "popular") == expected.mean()
    assert found().interval("ndcg@10", "popular").mean == expected.mean()


def test_what_was_seen_before_is_no_way_to_be_right(caplog: pytest.LogCaptureFixture) -> None:
    """Half of the targets are repeats; a model that repeats the history must not find them."""
    split = tiny_split()
    targets = split.test.history.last(1).concat(split.test.targets)
    again = replace(split, test=replace(split.test, targets=targets))
    hidden = evaluate(Repeats(), again, k=(1,))
    n = sum(int(item) in again.test.history[row] for row in range(len(targets)) for item in targets[row])
    assert hidden.mean("hr@1") < 0.2
    assert n >= len(targets)
    assert f"{n} of {targets.n_events} test targets are in the history" in caplog.text
    caplog.clear()
    assert evaluate(Repeats(), again, k=(20,), exclude_history=False).mean("hr@20") > 0.8
    assert not caplog.text


def test_every_seed_keeps_its_values() -> None:
    values = found().values("hr@20", "mf")
    assert values.shape == (2, 60)
    assert found().mean("hr@20", "mf") == values.mean()
    assert found().interval("hr@20", "mf").spread == pytest.approx(values.mean(axis=1).std(ddof=1))


def test_slices_of_targets_add_up() -> None:
    e = found()
    whole = np.nansum(e.values("recall@10", "knn"))
    assert sum(np.nansum(e.values(f"recall@10/{part}", "knn")) for part in ("head", "tail", "cold")) == whole
    assert sum(np.nansum(e.values(f"recall@10/{part}", "knn")) for part in ("short", "long")) == whole
    assert sum(e.slices[part].size for part in ("head", "tail", "cold")) == len(e.contexts)
    assert e.slices["cold"].size == 2
    lengths = e.contexts.history.lengths
    inside = ~np.isnan(e.values("ndcg@10/short", "knn")[0])
    assert lengths[inside].max() < lengths[~inside].min()


def test_agreement_with_the_teacher() -> None:
    e = found()
    assert e.mean("overlap@10", "teacher") == e.mean("rbo@10", "teacher") == pytest.approx(1)
    assert e.mean("win@10", "teacher") == e.mean("loss@10", "teacher") == 0
    own, teacher = e.values("ndcg@10", "knn"), e.values("ndcg@10", "teacher")
    assert e.mean("win@10", "knn") == (own > teacher).mean()
    assert e.mean("loss@10", "knn") == (own < teacher).mean()
    outside = np.isnan(e.values("ndcg@10/tail", "knn"))
    for metric in ("overlap@10/tail", "win@10/tail", "novelty@10/tail"):
        np.testing.assert_array_equal(np.isnan(e.values(metric, "knn")), outside)


def test_transfer_of_the_teacher_itself_is_complete() -> None:
    assert found().transfer("teacher", "popular").ratio == pytest.approx(1)


def test_the_table_is_complete_and_plain_json() -> None:
    rows = json.loads(json.dumps(found().table(), allow_nan=False))
    assert [row["model"] for row in rows] == ["knn", "popular", "mf", "teacher"]
    assert [row["seeds"] for row in rows] == [1, 1, 2, 1]
    assert rows[1]["parameters"] == 40
    wanted = {"hr@5", "map@20", "coverage@10", "gini@10", "novelty@10", "diversity@10", "rbo@10", "ndcg@10/tail"}
    assert wanted <= set(rows[0])
    assert all(0 <= row["coverage@10"] <= 1 for row in rows)


def test_a_single_model_needs_no_name() -> None:
    e = evaluate(Popularity().build(tiny_split()), tiny_split(), "valid", k=[3])
    assert e.models == ("popularity",)
    assert e.mean("hr@3") == e.mean("recall@3", "popularity")
    assert "novelty@3" in e.table()[0]
    assert len(e.contexts) == 60


def test_diversity_by_embeddings_and_without_any_vectors() -> None:
    split = tiny_split()
    e = evaluate(Popularity().build(split), split, vectors=np.ones((40, 2)))
    assert e.mean("diversity@10") == pytest.approx(0)
    bare = Evaluation(split, "test", (5,), e.ranked, e.parameters)
    assert np.isnan(bare.mean("diversity@5"))
    assert bare.table()[0]["diversity@5"] is None


def test_contexts_without_targets_do_not_count() -> None:
    split = tiny_split()
    half = split.test.targets.keep(np.arange(60) < 30)
    test = Contexts(split.test.users, split.test.history, half)
    e = evaluate(ItemKNN().build(split), Split(split.dataset, split.train, split.valid, test, split.method))
    assert e.mean("hr@10") == found().values("hr@10", "knn")[0][:30].mean()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.mean("ndcg@50", "knn"), "goes beyond the largest cut-off 20"),
        (lambda e: e.mean("ndcg@10/tails", "knn"), "did you mean 'tail'"),
        (lambda e: e.mean("covrage@10", "knn"), "did you mean 'coverage'"),
        (lambda e: e.mean("ndcg@10", "kn"), "did you mean 'knn'"),
        (lambda e: e.mean("ndcg@10"), "several models were evaluated"),
        (lambda e: e.values("gini@10", "knn"), "belongs to all contexts together"),
    ],
)
def test_wrong_questions_are_refused(call: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call(found())  # type: ignore[operator]


def test_wrong_evaluations_are_refused() -> None:
    split = tiny_split()
    model = Popularity().build(split)
    with pytest.raises(ConfigError, match="no part of a split"):
        evaluate(model, split, "tset")
    with pytest.raises(ConfigError, match="nothing to evaluate"):
        evaluate({}, split)
    with pytest.raises(ConfigError, match="no model is called 'a'"):
        evaluate(model, split, teacher="a")
    with pytest.raises(ConfigError, match="fitted to 40 items, the split has 50"):
        evaluate(model, tiny_split(n_items=50))
    with pytest.raises(ConfigError, match="needs a teacher"):
        evaluate(model, split).mean("overlap@10")


def test_the_head_makes_up_its_share_and_not_more() -> None:
    np.testing.assert_array_equal(head_items(np.array([1, 6, 0, 3])), [False, True, False, True])
    np.testing.assert_array_equal(head_items(np.array([5, 5, 0])), [True, True, False])
    assert not head_items(np.zeros(3, dtype=np.int64)).any()


def test_baselines_are_tuned_on_validation_alone() -> None:
    split = tiny_split(200)
    blind = Split(split.dataset, split.train, split.valid, split.test.take([]), split.method)
    tuned = tune_baselines(blind, ("popularity", "item-knn", "ease"))
    assert list(tuned) == ["popularity", "item-knn", "ease"]
    e = evaluate(tuned | {"plain knn": ItemKNN().build(split), "plain ease": EASE().build(split)}, split, "valid")
    assert e.mean("ndcg@10", "item-knn") >= e.mean("ndcg@10", "plain knn")
    assert e.mean("ndcg@10", "ease") >= e.mean("ndcg@10", "plain ease")


def test_ease_is_left_out_where_it_is_too_large(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="recdistill"):
        assert list(tune_baselines(tiny_split(5, 20_001, cold=0), ("ease",))) == []
    assert "no EASE baseline" in caplog.text


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'ease'"):
        tune_baselines(tiny_split(), ["eas"])


def test_the_package_is_lazy_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(getattr(evaluation, name) for name in evaluation.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'evalute'"):
        evaluation.evalute  # noqa: B018

    def without_torch(*_: object) -> None:
        raise ModuleNotFoundError("no torch", name="torch")

    monkeypatch.setattr(evaluation, "import_module", without_torch)
    with pytest.raises(MissingExtraError, match=r"recdistill\[train\]"):
        evaluation.rank  # noqa: B018


def test_a_broken_installation_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_WHERE", {"rank": "absent"})
    with pytest.raises(ModuleNotFoundError, match="absent"):
        evaluation.rank  # noqa: B018
