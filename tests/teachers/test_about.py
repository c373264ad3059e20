"""Which items a teacher is asked about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.models import EASE, ItemKNN
from recdistill.teachers.about import About, uniform
from recdistill.teachers.ranking import rankings_of_scores
from recdistill.teachers.recommender import RecommenderTeacher
from recdistill.testing import tiny_split


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.integers(1, 300), st.integers(0, 2**40))
def test_chance_belongs_to_the_row(rows: list[int], columns: int, seed: int) -> None:
    numbers = uniform(torch.tensor(rows), columns, seed)
    assert numbers.shape == (len(rows), columns)
    assert numbers.min() > 0
    assert numbers.max() < 1
    assert torch.equal(uniform(torch.tensor(rows[-1:]), columns, seed)[0], numbers[-1])


def test_chance_is_uniform_and_depends_on_the_seed() -> None:
    numbers = uniform(torch.arange(1000), 200, 1)
    counts = torch.histc(numbers, 20, 0, 1)
    assert float(((counts - 10_000) ** 2 / 10_000).sum()) < 50  # chi-squared of 19 degrees
    assert not torch.equal(numbers, uniform(torch.arange(1000), 200, 2))


def test_draws_follow_the_probabilities() -> None:
    scores = torch.log(torch.tensor([[0.6, 0.3, 0.1]])).expand(20_000, 3)
    model = EASE().build(tiny_split())
    first = About(model, temperature=1.0).drawn(scores, np.arange(20_000)).argmax(1)
    np.testing.assert_allclose(torch.bincount(first).numpy() / 20_000, [0.6, 0.3, 0.1], atol=0.015)
    cold = About(model, temperature=0.01).drawn(scores[:100], np.arange(100)).argmax(1)
    assert cold.tolist() == [0] * 100


def test_wishes_choose_the_items_and_scores_their_order() -> None:
    scores = torch.tensor([[3.0, 2.0, 1.0, 0.0], [-torch.inf, 2.0, 1.0, 5.0]])
    wishes = torch.tensor([[0.0, 1.0, 2.0, 3.0], [-torch.inf, 1.0, 0.0, -torch.inf]])
    logp = torch.log_softmax(scores, dim=1)
    found = rankings_of_scores(scores.clone(), 2, wishes)
    assert found.items.tolist() == [[2, 3], [1, 2]]
    np.testing.assert_allclose(found.logp[0], logp[0, [2, 3]], rtol=1e-5)
    np.testing.assert_allclose(found.tail[0, 0], torch.logsumexp(logp[0, :2], 0), rtol=1e-4)
    np.testing.assert_allclose(found.tail[1, 0], logp[1, 3], rtol=1e-4)
    assert found.confidence.tolist() == [1, 1]


def test_a_teacher_lists_the_items_of_another_model(tmp_path: Path) -> None:
    split = tiny_split()
    teacher, student = EASE().build(split), ItemKNN().build(split)
    n = split.train.n_events
    own = RecommenderTeacher(student, "own").label(split, tmp_path / "own", k=5).read(np.arange(n))
    about = RecommenderTeacher(teacher, "big", about=About(student)).label(split, tmp_path / "about", k=5)
    plain = RecommenderTeacher(teacher, "big")
    assert about.manifest.teacher_fingerprint != plain.fingerprint()
    found = about.read(np.arange(n))
    known = own.confidence > 0
    assert [set(row) for row in found.items[known].tolist()] == [set(row) for row in own.items[known].tolist()]
    assert (np.diff(found.logp[known], axis=1) <= 1e-6).all()
    assert (found.items != plain.label(split, tmp_path / "plain", k=5).read(np.arange(n)).items).any()
