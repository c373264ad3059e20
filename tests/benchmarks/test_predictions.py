"""Our metric and a referee that shares no code with us agree on what we wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from quality.predictions import judge, metrics, ranked, referee, write_predictions
from quality.splits import NAMES, load
from recdistill.errors import RecdistillError
from recdistill.models import DualEASE, Popularity


@pytest.mark.parametrize("part", ["valid", "test"])
@pytest.mark.parametrize("name", NAMES)
def test_our_metric_is_the_referees(bench: Path, name: str, part: str) -> None:
    split = load(name)
    model = DualEASE(l2=2).build(split)
    ours = metrics(ranked(model, split, part), split, part)
    theirs = judge(model, split, part, bench / "out" / "predictions.tsv.gz")
    assert theirs["dropped"] == 0
    assert {k: v for k, v in theirs.items() if "@" in k} == pytest.approx(ours, abs=1e-9)
    assert ours[f"recall@{split.cutoffs[-1]}"] > 0.3


def test_masked_items_are_replaced_by_the_next_best(bench: Path) -> None:
    split = load("citeulike-topology")
    best = ranked(Popularity().build(split), split, "test", depth=5)
    assert (best >= 0).all()
    assert not any(set(row) & set(split.masked["test"][number]) for number, row in enumerate(best))


def test_equal_lists_give_equal_bytes(bench: Path) -> None:
    split = load("amazon-beauty")
    best = ranked(Popularity().build(split), split, "valid", depth=3)
    paths = [bench / "a.tsv.gz", bench / "b.tsv.gz"]
    for path in paths:
        write_predictions(path, best, split, "valid")
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_cutoffs_beyond_the_lists_are_left_out(bench: Path) -> None:
    split = load("amazon-beauty")
    best = ranked(Popularity().build(split), split, "valid", depth=10)
    assert set(metrics(best, split, "valid")) == {"recall@5", "ndcg@5", "recall@10", "ndcg@10"}


def test_what_the_referee_refuses_is_an_error(bench: Path) -> None:
    split = load("amazon-beauty")
    best = ranked(Popularity().build(split), split, "valid", depth=3)[:-1]
    split.keys["valid"].pop()
    write_predictions(bench / "short.tsv.gz", best, split, "valid")
    with pytest.raises(RecdistillError, match="refuses the predictions: keys have no ranking"):
        referee(bench / "short.tsv.gz", split, "valid")
