"""How far lists became the teacher's, and who ranks best: against counting one context after another."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from recdistill.evaluation import Evaluation, evaluate
from recdistill.models import MF, ItemKNN, Popularity
from recdistill.recipes.arrival import agreements, wins
from recdistill.recipes.comparisons import ALONE, DISTILLED, best_baseline
from recdistill.reports.results import Agreement, Role
from recdistill.testing import tiny_split

ROLES: dict[str, Role] = {
    "teacher": "teacher", DISTILLED: "distilled", "student, part": "ablation", ALONE: "alone",
    "student served": "served", "popular": "baseline", "old": "baseline",
}  # fmt: skip


@cache
def found() -> Evaluation:
    split = tiny_split()
    knn, popular = ItemKNN().build(split), Popularity().build(split)
    mf = [MF(dim=4).build(split, seed=seed) for seed in (0, 1)]
    models = {
        "teacher": knn, DISTILLED: [ItemKNN(window=1).build(split), mf[0]], "student, part": popular, ALONE: mf,
        "student served": mf[0], "popular": popular, "old": mf[1],
    }  # fmt: skip
    return evaluate(models, split, teacher="teacher")


@cache
def by_row() -> dict[tuple[str, str], Agreement]:
    return {(a.row, a.part): a for a in agreements(found(), ROLES, "ndcg@10")}


def test_every_training_of_the_student_is_compared_in_every_part() -> None:
    assert {row for row, _ in by_row()} == {ALONE, DISTILLED, "student, part"}
    assert {part for _, part in by_row()} == {"", "head", "tail", "cold", "short", "long"}
    assert by_row()[ALONE, ""].gained is None


@pytest.mark.parametrize("part", ["", "tail", "long"])
def test_the_numbers_are_those_of_counting(part: str) -> None:
    e, a = found(), by_row()[DISTILLED, part]
    where = f"/{part}" if part else ""
    assert a.overlap.value == pytest.approx(e.mean(f"overlap@10{where}", DISTILLED))
    assert a.behind.value == pytest.approx(e.mean(f"loss@10{where}", DISTILLED))
    assert a.ahead.value == pytest.approx(e.mean(f"win@10{where}", DISTILLED))
    assert a.lead.value == pytest.approx(a.ahead.value - a.behind.value)
    assert a.gained is not None
    assert a.gained.value == pytest.approx(a.overlap.value - by_row()[ALONE, part].overlap.value)
    rows = np.flatnonzero(~np.isnan(e.values(f"ndcg@10{where}", DISTILLED)[0]))
    assert a.contexts == len(rows)
    kept = e.contexts.targets if not part else e.contexts.targets.keep(e.slices[part].targets)
    counts = {"both": [0, 0], "own": [0, 0], "missed": [0, 0]}
    for ranked in e.ranked[DISTILLED]:
        for row in rows:
            mine, theirs = set(ranked[row, :10].tolist()) - {-1}, set(e.ranked["teacher"][0][row, :10].tolist()) - {-1}
            right = set(kept[int(row)].tolist())
            for name, items in (("both", mine & theirs), ("own", mine - theirs), ("missed", theirs - mine)):
                counts[name][0] += len(items & right)
                counts[name][1] += len(items)
    for name, (hits, listed) in counts.items():
        assert getattr(a, name).value == pytest.approx(hits / listed)
    assert a.left is not None
    assert a.missed is not None
    assert a.own is not None
    assert a.left.value == pytest.approx(a.missed.value - a.own.value)
    assert a.overlap.low <= a.overlap.value <= a.overlap.high
    assert a.left.low <= a.left.value <= a.left.high


def test_equal_lists_have_nothing_of_one_side_only() -> None:
    e = found()
    same = Evaluation(e.split, e.part, e.k, {"t": e.ranked["teacher"], ALONE: e.ranked["teacher"]}, {}, "t")
    (whole, *_) = agreements(same, {"t": "teacher", ALONE: "alone"}, "ndcg@10")
    assert whole.overlap.value == pytest.approx(1)
    assert (whole.own, whole.missed, whole.left) == (None, None, None)
    assert (whole.ahead.value, whole.behind.value) == (0, 0)


def test_without_a_teacher_nothing_is_compared() -> None:
    e = found()
    assert list(agreements(Evaluation(e.split, e.part, e.k, e.ranked, e.parameters), ROLES, "ndcg@10")) == []


def test_wins_are_those_of_counting_and_add_up() -> None:
    e = found()
    names = ["teacher", ALONE, DISTILLED]
    whole, *parts = wins(e, names, "hr@10")
    assert [p.part for p in parts] == list(e.slices)
    values = {name: e.values("hr@10", name) for name in names}
    sole, several, nobody = dict.fromkeys(names, 0), 0, 0
    for at in range(2):
        for row in range(len(e.contexts)):
            own = {name: v[at % len(v)][row] for name, v in values.items()}
            top = max(own.values())
            best = [name for name in names if own[name] == top]
            nobody += top == 0
            several += top > 0 and len(best) > 1
            if top > 0 and len(best) == 1:
                sole[best[0]] += 1
    n = 2 * len(e.contexts)
    assert {name: found.value for name, found in whole.best.items()} == pytest.approx(
        {k: v / n for k, v in sole.items()}
    )
    assert (whole.several.value, whole.nobody.value) == pytest.approx((several / n, nobody / n))
    for found_ in (whole, *parts):
        shares = [*found_.best.values(), found_.several, found_.nobody]
        assert sum(share.value for share in shares) == pytest.approx(1)
        assert all(share.low <= share.value <= share.high for share in shares)


def test_the_best_baseline_is_the_one_with_the_highest_mean() -> None:
    e = found()
    assert best_baseline(e, ROLES, "ndcg@10") == max(("popular", "old"), key=lambda name: e.mean("ndcg@10", name))
    assert best_baseline(e, {"teacher": "teacher"}, "ndcg@10") is None
