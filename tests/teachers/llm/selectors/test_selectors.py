"""What each selector takes, against its formula, and what all of them promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.errors import ConfigError
from recdistill.knowledge import Rankings
from recdistill.teachers.llm.selectors import SELECTORS
from recdistill.teachers.llm.selectors.alkdrec import ALKDRec, policy
from recdistill.teachers.llm.selectors.base import Outlook, SelectorConfig, first_by
from recdistill.teachers.llm.selectors.difficulty import Difficulty
from recdistill.teachers.llm.selectors.disagreement import Disagreement, agreed
from recdistill.teachers.llm.selectors.diversity import Diversity, far_apart
from recdistill.teachers.llm.selectors.random import RandomSelector
from recdistill.teachers.llm.selectors.uncertainty import Uncertainty

ALL = [SELECTORS[name].load()() for name in SELECTORS]
ALL += [Diversity(among=Uncertainty(measure="margin")), Difficulty(skip=0.3), Disagreement(k=3)]


def rankings(items: list[list[int]], p: list[list[float]] | None = None) -> Rankings:
    """Lists with these items and probabilities; equal ones if None."""
    listed = np.array(items, dtype=np.int32)
    given = np.full(listed.shape, 1 / listed.shape[1]) if p is None else np.array(p)
    with np.errstate(divide="ignore"):
        logp = np.where(listed < 0, -np.inf, np.log(given)).astype(np.float32)
    return Rankings(listed, logp, np.zeros((len(listed), 3), np.float32), np.ones(len(listed), np.float32))


@st.composite
def outlooks(draw: st.DrawFn) -> Outlook:
    n, k, dim = draw(st.integers(0, 12)), draw(st.integers(2, 6)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def lists() -> Rankings:
        items = np.array([rng.permutation(30)[:k] for _ in range(n)], dtype=np.int32).reshape(n, k)
        logp = -np.sort(rng.exponential(size=(n, k)), axis=1).astype(np.float32)
        silent = rng.random(n) < 0.2
        items[silent], logp[silent] = -1, -np.inf
        return Rankings(items, logp, np.zeros((n, 3), np.float32), (~silent).astype(np.float32))

    losses = np.where(rng.random(n) < 0.3, np.nan, rng.exponential(size=n))
    vectors = rng.integers(-1, 2, size=(n, dim)).astype(np.float32)  # ties and zeros among them
    labelled = rng.normal(size=(draw(st.integers(0, 3)), dim)).astype(np.float32)
    return Outlook(n, lists(), losses, vectors, labelled, lists())


@settings(max_examples=40, deadline=None)
@given(outlooks(), st.integers(0, 15), st.sampled_from(ALL), st.integers(0, 99))
def test_every_selector_takes_so_many_different_contexts_and_the_same_with_one_seed(
    seen: Outlook, n: int, by: SelectorConfig, seed: int
) -> None:
    first, again = (by.pick(seen, n, np.random.default_rng(seed)) for _ in range(2))
    assert first.dtype == np.int64
    assert len(first) == len(set(first.tolist())) == min(n, seen.n)
    assert set(first.tolist()) <= set(range(seen.n))
    np.testing.assert_array_equal(first, again)


@given(outlooks(), st.sampled_from(ALL))
@settings(max_examples=20, deadline=None)
def test_what_is_not_needed_is_not_looked_at(seen: Outlook, by: SelectorConfig) -> None:
    parts = {name: getattr(seen, name) if name in by.needs() else None for name in ("student", "losses", "beside")}
    vectors = (seen.vectors, seen.labelled) if "vectors" in by.needs() else (None, None)
    bare = Outlook(seen.n, parts["student"], parts["losses"], *vectors, parts["beside"])
    picked = [by.pick(some, 4, np.random.default_rng(0)).tolist() for some in (seen, bare)]
    assert picked[0] == picked[1]


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, float("nan")]), max_size=12), st.integers(0, 14))
def test_the_highest_come_first_and_nothing_said_comes_last(values: list[float], n: int) -> None:
    scores = np.array(values, dtype=np.float64)
    picked = np.nan_to_num(scores[first_by(scores, n, np.random.default_rng(0))], nan=-1.0)
    assert picked.tolist() == sorted(np.nan_to_num(scores, nan=-1.0).tolist(), reverse=True)[:n]


def test_uncertainty_is_entropy_or_margin() -> None:
    seen = Outlook(3, rankings([[1, 2, 3], [4, 5, 6], [-1, -1, -1]], [[0.25, 0.25, 0.25], [0.6, 0.2, 0.0], [0.1] * 3]))
    p = np.array([0.75, 0.25])
    expected = [1.0, float(-(p * np.log(p)).sum() / np.log(3)), np.nan]
    np.testing.assert_allclose(Uncertainty(k=3).scores(seen), expected, rtol=1e-6)
    np.testing.assert_allclose(Uncertainty(measure="margin", k=3).scores(seen), [1.0, 0.5, np.nan], rtol=1e-6)


def test_agreement_at_every_depth() -> None:
    one = np.array([[1, 2, 3], [1, -1, -1]], dtype=np.int32)
    other = np.array([[2, 9, 1], [-1, -1, -1]], dtype=np.int32)
    np.testing.assert_array_equal(agreed(one, other, 3), [[0, 1, 2], [0, 0, 0]])
    np.testing.assert_array_equal(agreed(one, other, 2), [[0, 1], [0, 0]])


@given(st.permutations(range(6)), st.permutations(range(6)), st.integers(1, 6))
def test_agreement_against_sets(one: list[int], other: list[int], depth: int) -> None:
    a, b = np.array([one], dtype=np.int32), np.array([other], dtype=np.int32)
    assert agreed(a, b, 6)[0, depth - 1] == len(set(one[:depth]) & set(other[:depth]))


def test_disagreement_is_one_minus_the_average_overlap() -> None:
    seen = Outlook(3, rankings([[1, 2], [1, 2], [1, 2]]), beside=rankings([[2, 1], [1, 2], [-1, -1]]))
    np.testing.assert_allclose(Disagreement(k=2).scores(seen), [1 - (0 + 1) / 2, 0.0, np.nan])
    assert Disagreement().scores(Outlook(2, rankings([[1], [2]]))).tolist() == [0, 0]  # nobody to compare with yet


def test_the_hardest_may_come_last() -> None:
    seen = Outlook(5, losses=np.array([1.0, 5.0, np.nan, 3.0, 2.0]))
    rng = np.random.default_rng(0)
    assert Difficulty().pick(seen, 5, rng).tolist() == [1, 3, 4, 0, 2]
    assert Difficulty(skip=0.25).pick(seen, 5, rng).tolist() == [3, 4, 0, 1, 2]


def test_far_apart_is_the_greedy_k_centre() -> None:
    rng = np.random.default_rng(3)
    vectors, before = rng.normal(size=(20, 3)).astype(np.float32), rng.normal(size=(2, 3)).astype(np.float32)
    units, known = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (vectors, before))
    chosen: list[int] = []
    for _ in range(6):
        centres = np.concatenate([known, units[chosen]])
        distance = (1 - units @ centres.T).min(axis=1)
        distance[chosen] = -1
        chosen.append(int(np.argmax(distance)))
    assert far_apart(vectors, 6, before, rng).tolist() == chosen


def test_diversity_among_takes_from_the_shortlist_only() -> None:
    losses = np.array([9.0, 8, 7, 6, 1, 1, 1, 1])
    seen = Outlook(8, losses=losses, vectors=np.eye(8, dtype=np.float32))
    picked = Diversity(among=Difficulty(), shortlist=2).pick(seen, 2, np.random.default_rng(0))
    assert set(picked.tolist()) <= {0, 1, 2, 3}


@pytest.mark.parametrize(("n", "similar", "effective"), [(7, 0.1, 0.5), (40, 0.2, 0.3), (1, 0.1, 0.5)])
def test_the_policy_of_alkdrec_against_its_formula(n: int, similar: float, effective: float) -> None:
    gain = np.arange(1, n + 1, dtype=np.float64) ** -10
    early = int(n * (1 - similar))
    value = []
    for last in range(n):
        won = sum(
            (0.5 if i < early else 1.0) * gain[i] / (gain[i] if i < early else 1.5 * gain[i]) for i in range(last + 1)
        )
        inverse = sum(1 / (gain[i] if i < early else 1.5 * gain[i]) for i in range(last + 1))
        value.append((won + n * (similar + effective - 1)) / inverse)
    best = max(int(np.argmax(value)), 1)
    p = np.array([1 / (gain[i] if i < early else 1.5 * gain[i]) if i < best else 0.0 for i in range(n)])
    np.testing.assert_allclose(policy(n, 10, similar, effective), p / p.sum(), rtol=1e-9)


@given(st.integers(1, 3000), st.floats(0, 12), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_the_policy_is_a_distribution(n: int, decay: float, similar: float, effective: float) -> None:
    p = policy(n, decay, similar, effective)
    assert np.isfinite(p).all()
    assert (p >= 0).all()
    assert p.sum() == pytest.approx(1)


def test_alkdrec_draws_just_below_the_end_of_its_stretch() -> None:
    n = 400
    own = np.array([[*range(20)]] * n)
    other = own + 1000
    for row in range(n):
        other[row, : row * 20 // n] = own[row, : row * 20 // n]  # later contexts have more in common
    seen = Outlook(n, rankings(own.tolist()), beside=rankings(other.tolist()))
    picked = ALKDRec().pick(seen, 40, np.random.default_rng(0))
    assert 200 < np.median(picked) < 380


def test_somebody_to_compare_with_is_needed() -> None:
    with pytest.raises(ConfigError, match="compares the student with another teacher; name a recommender above"):
        Diversity(among=ALKDRec()).check(None)
    Diversity(among=ALKDRec()).check("knn")
    Diversity().check(None)
    RandomSelector().check(None)
