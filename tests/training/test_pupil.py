"""The student of the rounds: alone before anything was said, then by what was said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recdistill.data.dataset import Contexts
from recdistill.data.sequences import Sequences
from recdistill.errors import TrainingError
from recdistill.knowledge import Knowledge, RankingsStore
from recdistill.models import ItemKNN, Popularity, SASRec
from recdistill.objectives import Auto, CrossEntropy, HardLabels
from recdistill.objectives.defaults import default_objectives
from recdistill.teachers import RecommenderTeacher
from recdistill.testing import tiny_split
from recdistill.training import Training, fit
from recdistill.training.pupil import Pupil

SPLIT = tiny_split()
ONCE = Training(epochs=1, metric="recall@10")
SMALL = SASRec(dim=8, blocks=1)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> RankingsStore:
    place = tmp_path_factory.mktemp("said")
    store: RankingsStore = RecommenderTeacher(ItemKNN().build(SPLIT), name="knn").label(SPLIT, place / "knn", k=10)
    return store


def same(one: object, other: object) -> None:
    np.testing.assert_array_equal(one.score(SPLIT.valid), other.score(SPLIT.valid))  # type: ignore[attr-defined]


def test_alone_at_first_and_taught_afterwards(said: RankingsStore, tmp_path: Path) -> None:
    terms = [CrossEntropy(), HardLabels(teacher="knn", weight=0.5)]
    alone = (SMALL.replace(dropout=0.0), [CrossEntropy()], Training(epochs=2, metric="ndcg@5"))
    pupil = Pupil(SMALL, SPLIT, Knowledge(), terms, ONCE, alone)
    assert pupil.metric == "recall@10"
    first = pupil(None, tmp_path / "0", "first")
    expected = fit(alone[0], SPLIT, alone[1], training=alone[2].replace(metric="recall@10"))
    same(first.model, expected.model)
    assert first.score == max(record["valid"]["recall@10"] for record in expected.history)
    same(
        pupil(said, tmp_path / "1", "second").model,
        fit(SMALL, SPLIT, terms, knowledge=Knowledge((said,)), training=ONCE).model,
    )


@pytest.mark.parametrize("terms", [None, [Auto()]])
def test_terms_that_are_not_named_are_the_defaults(
    said: RankingsStore, tmp_path: Path, terms: list[Auto] | None
) -> None:
    known = Knowledge((said,))
    expected = fit(SMALL, SPLIT, default_objectives(known), knowledge=known, training=ONCE)
    same(Pupil(SMALL, SPLIT, Knowledge(), terms, ONCE)(said, tmp_path, "student").model, expected.model)


def test_what_cannot_be_measured_or_trained_is_refused(tmp_path: Path) -> None:
    nothing = Contexts(np.zeros(0, np.int32), Sequences.from_lists([]), Sequences.from_lists([]))
    with pytest.raises(TrainingError, match="rounds are measured on validation, of which there is none"):
        Pupil(SMALL, replace(SPLIT, valid=nothing), Knowledge())
    with pytest.raises(TrainingError, match="popularity is not trained by steps, so it cannot learn in rounds"):
        Pupil(Popularity(), SPLIT, Knowledge())(None, tmp_path, "student")
