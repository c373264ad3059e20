"""Audits of teachers whose worth is known, since we made them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.evaluation.audit import Audit, audit, best_share, hits, softmax
from recdistill.evaluation.verdict import verdict, warnings

N, M, ORDERS = 300, 8, 3


class World:
    """Lists whose right item is drawn with probabilities that a perfect teacher knows."""

    def __init__(self, n: int = N, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.truth = np.exp(softmax(2 * self.rng.standard_normal((n, M)), np.ones((n, M), dtype=bool)))
        self.right = np.array([self.rng.choice(M, p=row) for row in self.truth])
        self.offered = np.ones((n, M), dtype=bool)
        self.order = np.argsort(self.rng.random((n, ORDERS, M)), axis=2)  # place of each candidate

    def said(self, p: Any) -> np.ndarray[Any, Any]:
        """The same probabilities in all orders."""
        return np.repeat(np.asarray(p)[:, None, :], ORDERS, axis=1)

    def places(self, by_place: Any) -> np.ndarray[Any, Any]:
        """Probabilities that follow the places alone."""
        return np.asarray(by_place)[self.order]

    def noise(self) -> np.ndarray[Any, Any]:
        return self.rng.standard_normal(self.truth.shape)

    def audit(self, p: Any, others: Any = None, **more: Any) -> Audit:
        others = others or {"popularity": self.noise(), "student alone": np.log(self.truth) + 1.5 * self.noise()}
        settings: dict[str, Any] = {"parts": {}} | more
        return audit(p, self.order, self.right, self.offered, others, "student alone", **settings)


def test_a_teacher_that_knows_is_worth_it() -> None:
    world = World()
    found = world.audit(world.said(world.truth))
    assert verdict(found).startswith("Worth it: right in ")
    assert found.hits.mean > found.beside[1].hits.mean > found.chance
    assert found.chance == 1 / M
    assert found.coverage == found.same_first == 1.0
    assert found.bias is not None
    assert not found.bias.found
    assert found.calibration.error < 0.1
    assert 0.6 < found.calibration.temperature < 1.6
    assert found.share > 0.5
    assert warnings(found) == []


def test_a_teacher_that_always_says_a_is_found_out() -> None:
    world = World()
    found = world.audit(world.places([0.93] + [0.01] * 7))
    assert verdict(found).startswith("Not worth it: ")
    assert "guessing is in 12 %" in verdict(found)
    assert found.bias is not None
    assert (found.bias.place, found.bias.chosen) == (0, 1.0)
    assert found.bias.away > 0.7
    told = warnings(found)
    assert told[0].startswith(
        "position bias: the answer is A in 100 % of the lists and A has 93 % of the probability, without bias both "
        "would be 12 %; "
    )
    assert told[0].endswith("; without it nothing is left")
    assert found.corrected is not None
    assert found.corrected.mean == pytest.approx(1 / M)  # all alike
    assert any(line.startswith("inconsistent: ") for line in told)


def test_what_is_left_without_the_bias() -> None:
    world = World()
    weight = np.array([40.0, 1, 1, 1, 1, 1, 1, 1])[world.order]
    biased = world.said(world.truth) * weight
    found = world.audit(biased / biased.sum(axis=2, keepdims=True))
    fair = world.audit(world.said(world.truth))
    assert found.bias is not None
    assert found.bias.found
    assert found.corrected is not None
    assert found.corrected.mean > found.hits.mean
    assert found.corrected.mean == pytest.approx(fair.hits.mean, abs=0.05)
    assert "without it the first item is right in" in warnings(found)[0]


def test_noise_is_no_bias() -> None:
    world = World()
    found = world.audit(
        np.exp(softmax(world.rng.standard_normal((N, ORDERS, M)).reshape(-1, M), np.ones((N * 3, M), bool))).reshape(
            N, ORDERS, M
        )
    )
    assert found.bias is not None
    assert not found.bias.found
    assert not verdict(found).startswith("Worth")
    assert any("two orders of the same list" in line for line in warnings(found))


def test_a_teacher_that_is_worse_but_knows_something_else() -> None:
    """Two halves of what there is to know: neither is better, both together are."""
    rng = np.random.default_rng(3)
    one, two = 1.2 * rng.standard_normal((2, 2000, M))
    world = World(2000)
    world.truth = np.exp(softmax(one + two, world.offered))
    world.right = np.array([rng.choice(M, p=row) for row in world.truth])
    others = {"student alone": one + 0.0, "popularity": world.noise()}
    found = world.audit(world.said(np.exp(softmax(0.9 * two, world.offered))), others)
    assert found.together.low > 0
    assert verdict(found).startswith("Worth a try beside student alone: ")
    assert found.share > 0.2


def test_a_teacher_that_only_repeats_noise_gets_no_share() -> None:
    world = World(1000)
    found = world.audit(world.said(np.exp(softmax(world.noise(), world.offered))))
    assert found.share < 0.1
    assert not verdict(found).startswith("Worth")


def test_a_teacher_that_is_too_sure() -> None:
    world = World()
    sure = world.truth**6
    found = world.audit(world.said(sure / sure.sum(axis=1, keepdims=True)))
    assert found.calibration.said > found.calibration.right + 0.1
    assert found.calibration.temperature > 3
    assert any(line.startswith("too sure: says ") for line in warnings(found))


def test_what_is_missing_counts_as_guessed() -> None:
    world = World()
    p = world.said(world.truth)
    p[:200] = np.nan
    p[200, 1] = np.nan
    found = world.audit(p)
    assert found.coverage == pytest.approx((99 * 3 + 2) / 900)
    expected = hits(world.truth, world.right, world.offered)
    assert found.hits.mean == pytest.approx((200 / M + expected[200:].sum()) / N)
    assert any(line.startswith("only 33 % of the questions") for line in warnings(found))
    nothing = world.audit(np.full_like(p, np.nan))
    assert verdict(nothing).startswith("Not usable")
    assert nothing.same_first is None


def test_other_words_and_parts_and_few_contexts() -> None:
    world = World(60)
    rows = np.arange(60) < 30
    truth = np.where(rows[:, None], 1 - np.eye(M)[world.right], np.eye(M)[world.right]) + 0.01
    other = np.roll(truth, 1, axis=1)
    found = world.audit(world.said(truth), otherwise=other, parts={"first": rows, "last": ~rows, "none": rows & ~rows})
    assert [part.name for part in found.parts] == ["first", "last"]
    assert [part.contexts for part in found.parts] == [30, 30]
    told = " ".join(warnings(found))
    assert "worse than student alone for first: 0 % against" in told
    assert "better than student alone for last: 100 % against" in told
    assert "asked in other words, the first item is the same in 0 %" in told or "asked in other words" in told
    assert "60 contexts are few" in told


def test_a_handful_of_contexts_is_no_evidence() -> None:
    """All of one context is right: a bootstrap of it knows no doubt, so nobody may be told that it is worth it."""
    world = World(1)
    right = np.eye(M)[world.right] + 0.01
    others = {"student alone": -right}
    found = world.audit(world.said(right), others, parts={"all": np.ones(1, dtype=np.bool_)})
    assert found.together.low > 0
    assert verdict(found).startswith("Too few contexts to tell: right in 100 % of 1 list")
    assert verdict(found).endswith("it takes 20 at least.")
    told = warnings(found)
    assert any(line.startswith("1 context is few") for line in told)
    assert not any("better than" in line for line in told)
    assert found.share > found.earned == 0.0


def test_a_share_that_may_be_chance_is_not_earned() -> None:
    world = World()
    known = world.audit(world.said(world.truth))
    assert known.earned == known.share > 0
    noise = world.audit(world.said(np.exp(softmax(world.noise(), world.offered))))
    assert noise.earned == 0.0


def test_sureness_is_judged_over_enough_contexts() -> None:
    """Bins of one context would be far off for a perfect teacher."""
    world = World(25)
    assert world.audit(world.said(world.truth)).calibration.error < 0.25


def test_sure_in_the_wrong_places() -> None:
    """As often right as it says on the whole, but not where it says so."""
    world = World(200)
    rows = np.arange(200) < 100
    world.right[:] = 0
    p = np.where(rows[:, None], [0.9] + [0.1 / 7] * 7, [0.1] * 7 + [0.3])
    p[:100] = p[:100][:, ::-1]  # sure, and wrong
    p[100:] = p[100:][:, ::-1]  # unsure, and right
    assert any(line.startswith("sure in the wrong places: ") for line in warnings(world.audit(world.said(p))))


def test_lists_of_different_lengths() -> None:
    world = World(40)
    world.offered[:, -1] = False
    world.right = np.minimum(world.right, M - 2)
    p = world.said(world.truth)
    p[:, :, -1] = np.nan
    world.order = np.argsort(world.rng.random((40, ORDERS, M - 1)), axis=2)
    world.order = np.concatenate([world.order, np.full((40, ORDERS, 1), -1)], axis=2)
    found = world.audit(p)
    assert found.candidates == M - 1
    assert found.bias is not None
    assert len(found.bias.by_place) == M - 1
    pointwise = audit(p[:, :1], np.full((40, 1, M), -1), world.right, world.offered, {"a": world.noise()}, "a", {})
    assert pointwise.bias is None
    assert pointwise.corrected is None
    assert pointwise.same_first is None


@given(st.integers(1, 6), st.integers(2, 5), st.integers(0, 99))
def test_hits_of_equal_firsts_are_shared(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, offered = rng.integers(0, 3, (n, m)).astype(float), rng.random((n, m)) < 0.8
    right = rng.integers(0, m, n)
    offered[np.arange(n), right] = True
    for row, found in enumerate(hits(scores, right, offered).tolist()):
        kept = [(scores[row, c], c) for c in range(m) if offered[row, c]]
        best = [c for value, c in kept if value == max(kept)[0]]
        assert found == (1 / len(best) if right[row] in best else 0)
    everyone = [hits(scores, np.full(n, c), offered) for c in range(m)]
    np.testing.assert_allclose(sum(np.where(offered[:, c], e, 0) for c, e in enumerate(everyone)), 1.0)


def test_the_share_of_a_model_that_is_the_truth() -> None:
    world = World(2000)
    truth, flat = np.log(world.truth), np.log(np.full_like(world.truth, 1 / M))
    assert best_share(truth, flat, world.right) == (0.5, 2.0)  # the same as all of it, as flat adds nothing
    assert best_share(flat, truth, world.right) in (
        (0.0, 1.0),
        (0.3, 1.5),
        (0.5, 2.0),
    )  # the same, as flat adds nothing


def test_equal_firsts_agree_by_chance_only() -> None:
    flat = np.full((40, 2, 4), 0.25)
    places = np.tile(np.arange(4), (40, 2, 1))
    found = audit(
        flat, places, np.zeros(40, dtype=np.int64), np.ones((40, 4), dtype=np.bool_), {"other": np.zeros((40, 4))},
        "other", {"half": np.arange(40) < 20}, users=np.arange(40) // 2,
    )  # fmt: skip
    assert found.same_first == 0.25
    assert found.parts[0].contexts == 20
