"""What a student thinks of contexts, computed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recdistill.errors import ConfigError, KnowledgeError
from recdistill.models import MF, ItemKNN, Popularity, SASRec
from recdistill.teachers import RecommenderTeacher
from recdistill.teachers.llm.selectors.base import Need
from recdistill.teachers.llm.selectors.outlook import outlook
from recdistill.teachers.windows import prefixes
from recdistill.testing import contexts_of, tiny_split

SPLIT = tiny_split()
TRAIN = SPLIT.train
EVERYTHING: frozenset[Need] = frozenset({"student", "losses", "vectors", "beside"})


def some_positions() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Events with something before them, and ends of histories."""
    events = np.flatnonzero(TRAIN.events_before(np.arange(TRAIN.n_events)) > 0)
    return np.concatenate([events[::7], TRAIN.n_events + np.arange(0, len(TRAIN), 5)])


def test_every_part_is_what_the_scores_say() -> None:
    student, positions = SASRec(dim=8, blocks=1).build(SPLIT, seed=1), some_positions()
    seen = outlook(student, SPLIT, positions, EVERYTHING, labelled=positions[:3], beside=Popularity().build(SPLIT))
    histories = prefixes(TRAIN, positions)
    rows = TRAIN.row_of_position(positions).tolist()
    contexts = contexts_of([histories[n].tolist() for n in range(len(positions))], rows)
    scores = student.score(contexts).astype(np.float64)
    for n in range(len(positions)):
        scores[n, histories[n]] = -np.inf
    assert seen.student is not None
    assert seen.student.items[:, 0].tolist() == scores.argmax(axis=1).tolist()
    assert seen.vectors is not None
    assert seen.labelled is not None
    np.testing.assert_allclose(seen.vectors, student.encode(contexts), rtol=1e-5)
    np.testing.assert_allclose(seen.labelled, student.encode(contexts)[:3], rtol=1e-5)
    assert seen.beside is not None
    assert not np.array_equal(seen.beside.items, seen.student.items)


def test_losses_are_of_the_next_event_and_at_the_end_of_the_newest() -> None:
    student = SASRec(dim=8, blocks=1).build(SPLIT, seed=1)
    end = TRAIN.n_events + 4
    last = int(TRAIN.offsets[5]) - 1
    seen = outlook(student, SPLIT, np.array([last, end]), frozenset({"losses"}))
    scores = student.score(contexts_of([TRAIN[4][:-1].tolist()], [4]))[0].astype(np.float64)
    expected = np.log(np.exp(scores).sum()) - scores[TRAIN[4][-1]]
    assert seen.losses is not None
    np.testing.assert_allclose(seen.losses, [expected, expected], rtol=1e-5)
    assert seen.student is None
    assert seen.vectors is None


def test_the_first_event_has_nothing_before_it() -> None:
    seen = outlook(MF(dim=4).build(SPLIT, seed=1), SPLIT, np.array([0]), frozenset({"losses"}))
    assert seen.losses is not None
    assert np.isnan(seen.losses).all()


def test_a_student_without_vectors() -> None:
    with pytest.raises(ConfigError, match="item-knn has no vectors of contexts; choose by uncertainty"):
        outlook(ItemKNN().build(SPLIT), SPLIT, np.array([1]), frozenset({"vectors"}))


def test_another_teachers_rankings_are_read_where_it_spoke(tmp_path: Path) -> None:
    teacher = RecommenderTeacher(Popularity().build(SPLIT), name="popular")
    store = teacher.label(SPLIT, tmp_path / "ends", k=5, contexts="ends")
    end = np.array([TRAIN.n_events])
    seen = outlook(SASRec(dim=8, blocks=1).build(SPLIT), SPLIT, end, EVERYTHING, beside=store)
    assert seen.beside is not None
    assert (seen.beside.items >= 0).all()
    with pytest.raises(
        KnowledgeError, match="'popular' has ranked none of the contexts that may be chosen; it ranked ends"
    ):
        outlook(SASRec(dim=8, blocks=1).build(SPLIT), SPLIT, np.array([1]), EVERYTHING, beside=store)
