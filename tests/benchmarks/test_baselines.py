"""Baselines are chosen on validation only, scored by the referee, and found again."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quality import baselines, search
from quality.baselines import bar, cache_directory, tuned
from quality.predictions import metrics, ranked
from quality.search import Search, fitter
from quality.splits import BenchmarkSplit, load
from recdistill.data.sequences import Sequences
from recdistill.errors import ConfigError
from recdistill.models import EASE, SLIST, DualEASE, ItemKNN, ModelConfig


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids of a few candidates."""

    def knn(_: object) -> Search:
        return Search(ItemKNN(), {"decay": (0.5, 1.0), "shrink": (0.0, 5.0)})

    monkeypatch.setitem(search.SEARCHES["sequences"], "item-knn", knn)


def test_the_best_of_the_grid_is_found(bench: Path) -> None:
    split = load("amazon-beauty")
    found = tuned(split, "item-knn")
    every = [ItemKNN(decay=decay, shrink=shrink) for decay in (0.5, 0.8, 1.0) for shrink in (0.0, 5.0)]
    of = [metrics(ranked(config.build(split), split, "valid"), split, "valid")[split.select] for config in every]
    assert found.config in every
    assert found.valid[split.select] >= np.median(of)
    again = metrics(ranked(found.build(), split, "valid"), split, "valid")
    assert again == pytest.approx(found.valid)


def test_the_test_part_is_not_looked_at(bench: Path) -> None:
    split = load("citeulike-topology")
    found = tuned(split, "ease")
    turned = Sequences(split.test.targets.offsets, split.test.targets.items[::-1].copy())
    other: BenchmarkSplit = replace(
        split, test=replace(split.test, targets=turned), masked={"valid": turned, "test": split.masked["test"]}
    )
    assert tuned(other, "ease").config == found.config


def test_results_are_kept(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = load("amazon-beauty")
    first = bar(split, "item-knn")
    assert (cache_directory(split) / "item-knn" / "predictions.tsv.gz").exists()
    assert first["test"]["benchmark"] == "amazon-beauty"
    monkeypatch.setattr(baselines, "rank", None)
    monkeypatch.setattr(baselines, "judge", None)
    assert bar(split, "item-knn") == first


def test_a_changed_search_is_done_again(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = load("amazon-beauty")
    before = tuned(split, "item-knn").config
    only = Search(ItemKNN(neighbours=7), {})
    monkeypatch.setitem(search.SEARCHES["sequences"], "item-knn", lambda _: only)
    assert tuned(split, "item-knn").config == only.start != before


def test_baselines_that_a_benchmark_lacks(bench: Path) -> None:
    with pytest.raises(ConfigError, match="no baseline called 'slist'"):
        tuned(load("citeulike-rcekd"), "slist")


def test_order_makes_another_benchmark(bench: Path) -> None:
    names = [cache_directory(load("citeulike-rcekd", ordered=ordered)).name for ordered in (False, True)]
    assert names == ["citeulike-rcekd", "citeulike-rcekd-ordered"]


@pytest.mark.parametrize("config", [EASE(l2=3, decay=0.5), DualEASE(l2=3, decay=0.5), ItemKNN(window=3), SLIST(l2=3)])
def test_the_fitter_builds_what_the_config_says(bench: Path, config: ModelConfig) -> None:
    split = load("amazon-beauty")
    fit = fitter(split)
    assert fit(config).config == config
    np.testing.assert_array_equal(fit(config).score(split.test), config.build(split).score(split.test))


@pytest.mark.parametrize(("name", "kind"), [("amazon-beauty", EASE), ("alkdrec-ml", DualEASE)])
def test_ease_takes_the_smaller_system(bench: Path, name: str, kind: type[ModelConfig]) -> None:
    split = load(name)
    assert isinstance(search.SEARCHES["sequences"]["ease"](split).start, kind)


def test_every_start_can_be_built(bench: Path) -> None:
    for kind, name in (("sequences", "amazon-beauty"), ("sets", "citeulike-rcekd")):
        split = load(name)
        for make in search.SEARCHES[kind].values():
            found = make(split)
            assert fitter(split)(found.start).n_items == split.n_items
            for parameter, values in found.grid.items():
                assert all(found.start.replace(**{parameter: value}) for value in values)


def test_the_command_prints_a_line_per_baseline(
    bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["baselines", "amazon-beauty", "popularity", "item-knn"])
    baselines.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["model"] for line in lines] == ["popularity", "item-knn"]
    assert all(line["test"]["split"] == "test" for line in lines)
