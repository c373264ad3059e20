"""Bundles that answer together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recdistill.compression import write_bundle
from recdistill.data.dataset import Catalogue, Dataset
from recdistill.data.sequences import Sequences
from recdistill.errors import ConfigError, DataError
from recdistill.models.ease import EASE
from recdistill.models.popularity import Popularity
from recdistill.serving import Bundle, Category, Fusion
from tests.synthetic import tiny_split

SPLIT = tiny_split(n_users=50, n_items=40)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    root = tmp_path_factory.mktemp("bundles")
    models = {"ease": EASE(), "popularity": Popularity()}
    return [Bundle.open(write_bundle(m.build(SPLIT), SPLIT.dataset, root / name)) for name, m in models.items()]


def test_reciprocal_ranks_by_their_formula(bundles: list[Bundle]) -> None:
    fused = Fusion(bundles, [2, 1], depth=30)
    points: dict[str, float] = {}
    for bundle, weight in zip(bundles, (2, 1), strict=True):
        for rank, one in enumerate(bundle.recommend(["i3", "i4"], 30), 1):
            points[one.item] = points.get(one.item, 0) + weight / (60 + rank)
    got = fused.recommend(["i3", "i4"], 12)
    assert [one.score for one in got] == pytest.approx(sorted(points.values(), reverse=True)[:12])
    assert all(one.score == pytest.approx(points[one.item]) for one in got)
    assert all(one.title == f"Item {one.item[1:]}" for one in got)


def test_scores_by_their_formula(bundles: list[Bundle]) -> None:
    got = Fusion(bundles, [0.7, 0.3], method="score", depth=40).recommend(["i3"], 40)
    points: dict[str, float] = {}
    for bundle, weight in zip(bundles, (0.7, 0.3), strict=True):
        found = bundle.recommend(["i3"], 40)
        scores = np.array([one.score for one in found])
        scaled = (scores - scores.min()) / (scores.max() - scores.min())
        for one, value in zip(found, scaled, strict=True):
            points[one.item] = points.get(one.item, 0) + weight * value
    assert {one.item: one.score for one in got} == pytest.approx(points)


def test_one_bundle_alone_is_itself(bundles: list[Bundle]) -> None:
    for method in ("rank", "score"):
        fused: Any = Fusion(bundles[:1], method=method)
        settings = {"where": Category("topic 1")}
        for ask, arguments in (("recommend", [["i3"]]), ("similar", ["i3"]), ("popular", []), ("search", ["item 7"])):
            alone = getattr(bundles[0], ask)(*arguments, **settings)
            assert [one.item for one in getattr(fused, ask)(*arguments, **settings)] == [one.item for one in alone]


def test_bundles_of_other_items(bundles: list[Bundle], tmp_path: Path) -> None:
    items = Catalogue(ids=["i3", "extra"], titles=["Item 3", "Extra"])
    dataset = Dataset(["u"], items, Sequences.from_lists([[0, 1]]))
    split = replace(SPLIT, dataset=dataset, train=dataset.log)
    other = Bundle.open(write_bundle(Popularity().build(split), dataset, tmp_path / "b"))
    fused = Fusion([bundles[0], other])
    assert "extra" in [one.item for one in fused.recommend(["i3", "i4"], 50)]
    assert "i3" not in [one.item for one in fused.recommend(["i3", "i4"], 50)]
    assert fused.recommend(["extra"], 1)
    assert len(fused.similar("i4", 50)) == 39
    for ask in (fused.recommend, fused.similar):
        with pytest.raises(DataError, match="no bundle knows the item"):
            ask("x" if ask == fused.similar else ["x"])


def test_what_makes_no_sense_is_refused(bundles: list[Bundle]) -> None:
    for wrong in ({"weights": [1.0]}, {"weights": [1.0, -1.0]}, {"weights": [1.0, float("nan")]}):
        with pytest.raises(ConfigError, match="weights for 2 bundles"):
            Fusion(bundles, **wrong)
    with pytest.raises(ConfigError, match="no method is called 'mean'"):
        Fusion(bundles, method="mean")
    with pytest.raises(ConfigError, match="for 0 bundles"):
        Fusion([])
