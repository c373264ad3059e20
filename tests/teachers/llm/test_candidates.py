from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recdistill.data.sequences import Sequences
from recdistill.errors import ConfigError, KnowledgeError
from recdistill.knowledge import EmbeddingsWriter, Knowledge
from recdistill.models import EASE, ItemKNN, Popularity, SASRec
from recdistill.teachers.llm.asked import asked_at, draw, without_targets
from recdistill.teachers.llm.candidates import (
    CANDIDATES,
    ColdCandidates,
    MixedCandidates,
    PopularCandidates,
    RandomCandidates,
    RecommenderCandidates,
    TeacherCandidates,
    TextNeighbours,
)
from recdistill.teachers.llm.candidates.base import CandidatesConfig, first_unseen
from recdistill.teachers.recommender import RecommenderTeacher
from recdistill.testing import tiny_split

SPLIT = tiny_split(cold=3)
ENDS = np.arange(SPLIT.train.n_events, SPLIT.train.n_positions)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    """Rankings by popularity at all positions, and embeddings of items."""
    folder = tmp_path_factory.mktemp("taught")
    RecommenderTeacher(Popularity().build(SPLIT), name="big").label(SPLIT, folder / "r", k=30)
    writer = EmbeddingsWriter(
        folder / "e", teacher="text", teacher_fingerprint="t", dataset_fingerprint=SPLIT.dataset.items.fingerprint,
        rows=SPLIT.n_items, dim=8,
    )  # fmt: skip
    writer.add(np.arange(SPLIT.n_items), np.random.default_rng(0).normal(size=(SPLIT.n_items, 8)))
    writer.seal()
    return Knowledge.open(folder)


CONFIGS: list[CandidatesConfig] = [
    RandomCandidates(n=7),
    PopularCandidates(n=7),
    ColdCandidates(n=7),
    RecommenderCandidates(n=7),
    RecommenderCandidates(n=7, model=EASE()),
    TeacherCandidates(n=7, teacher="big"),
    TextNeighbours(n=7, teacher="text"),
    MixedCandidates(n=7, parts=[TeacherCandidates(n=3, teacher="big"), ColdCandidates(n=2)]),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_items_are_different_and_none_of_the_history(config: CandidatesConfig, taught: Knowledge) -> None:
    prepared = config.prepare(SPLIT, taught)
    found = draw(prepared, SPLIT.train, ENDS, 0, config.n)
    assert found.shape == (len(ENDS), 7)
    assert found.dtype == np.int32
    for row, items in enumerate(found):
        known = items[items >= 0]
        assert len(np.unique(known)) == len(known)
        assert not np.isin(known, SPLIT.train[row]).any()
        assert (known < SPLIT.n_items).all()
        assert (items[len(known) :] == -1).all()
    assert config.uses() == {"teacher": ("big",), "text-neighbours": ("text",), "mixed": ("big",)}.get(config.name, ())


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_context_draws_alike_alone_and_in_company(config: CandidatesConfig, taught: Knowledge) -> None:
    prepared = config.prepare(SPLIT, taught)
    together = draw(prepared, SPLIT.train, ENDS, 3, config.n)
    for row in (0, 17, len(ENDS) - 1):
        np.testing.assert_array_equal(draw(prepared, SPLIT.train, ENDS[row : row + 1], 3, config.n)[0], together[row])


def test_every_generator_is_tested() -> None:
    assert {config.name for config in CONFIGS} == set(CANDIDATES)


def test_seeds_change_what_is_random() -> None:
    prepared = RandomCandidates(n=7).prepare(SPLIT, Knowledge())
    a, b = (draw(prepared, SPLIT.train, ENDS, seed, 7) for seed in (0, 1))
    assert (a != b).any(axis=1).mean() > 0.9


def test_a_recommender_gives_its_first_items() -> None:
    model = ItemKNN().build(SPLIT)
    found = draw(RecommenderCandidates(n=5, model=ItemKNN()).prepare(SPLIT, Knowledge()), SPLIT.train, ENDS, 0, 5)
    asked = asked_at(SPLIT.train, ENDS, None)
    scores = np.array(model.score(without_targets(asked)))
    for row, items in enumerate(found):
        scores[row, SPLIT.train[row]] = -np.inf
        np.testing.assert_allclose(scores[row, items], np.sort(scores[row])[::-1][:5])


def test_a_saved_student_gives_candidates(tmp_path: Path) -> None:
    SASRec(dim=8, blocks=1).build(SPLIT).save(tmp_path / "student")
    config = RecommenderCandidates(n=4, path=tmp_path / "student")
    assert (draw(config.prepare(SPLIT, Knowledge()), SPLIT.train, ENDS, 0, 4) >= 0).all()
    with pytest.raises(ConfigError, match="ranks 40 items, the data have 12"):
        config.prepare(tiny_split(n_items=12), Knowledge())


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(ConfigError, match="sasrec is trained, not fitted at once; make it a teacher"):
        RecommenderCandidates(model=SASRec())
    with pytest.raises(ConfigError, match="exclude each other"):
        RecommenderCandidates(model=ItemKNN(), path=Path("x"))
    with pytest.raises(ConfigError, match="the parts give 9 items, n is 5; set n to 9"):
        MixedCandidates(n=5, parts=[RandomCandidates(n=9)])
    with pytest.raises(KnowledgeError, match="no teacher left rankings"):
        TeacherCandidates(teacher="big").prepare(SPLIT, Knowledge())


def test_stored_rankings_are_for_training_positions_of_these_data(taught: Knowledge) -> None:
    prepared = TeacherCandidates(teacher="big", n=3).prepare(SPLIT, taught)
    asked = asked_at(SPLIT.train, ENDS[:2], None)
    with pytest.raises(KnowledgeError, match=r"use candidates: \{type: recommender\}"):
        prepared.draw(without_targets(asked), np.array([-1, -1]), 0)
    with pytest.raises(KnowledgeError, match="for other data"):
        TeacherCandidates(teacher="big").prepare(tiny_split(seed=5), taught)


def test_first_unseen() -> None:
    ranked = np.array([[3, 1, 2, -1], [0, 1, 2, 3]], dtype=np.int32)
    found = first_unseen(ranked, Sequences.from_lists([[1], [9, 0]]), 3)
    assert found.tolist() == [[3, 2, -1], [1, 2, 3]]
