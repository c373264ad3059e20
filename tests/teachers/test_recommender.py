from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.data.dataset import Contexts, Split
from recdistill.data.sequences import Sequences
from recdistill.errors import TeacherError
from recdistill.knowledge import RankingsStore, rankings_of
from recdistill.models import ItemKNN, Popularity, RankingModel, SASRec
from recdistill.models.neural import NeuralModel
from recdistill.teachers import RecommenderTeacher
from recdistill.teachers.ensemble import Ensemble
from recdistill.teachers.out_of_fold import OutOfFold, folds_of_users
from recdistill.teachers.ranking import rankings_of_scores
from recdistill.teachers.recommender import fingerprint_of
from recdistill.teachers.windows import overlapping_windows, prefixes
from recdistill.testing import tiny_split

SPLIT = tiny_split(n_users=25, n_items=30)


def _sasrec(seed: int = 0) -> RankingModel:
    model: RankingModel = SASRec(dim=8, blocks=1, max_length=20).build(SPLIT, seed=seed)
    return model


def _expected(model: RankingModel, split: Split, k: int, longest: int | None = None) -> dict[int, list[int]]:
    """Rankings one position at a time, from the model's own scores."""
    out = {}
    for user in range(split.n_users):
        for step in range(1, len(split.train[user]) + 1):
            seen = split.train[user][:step]
            history = Sequences.from_lists([seen[-(longest or 10**6) :].tolist()])
            contexts = Contexts(np.array([user], np.int32), history, Sequences.from_lists([[]]))
            ranked = rankings_of(model.score(contexts), k, Sequences.from_lists([seen.tolist()]))
            at_end = step == len(split.train[user])
            position = split.train.n_events + user if at_end else split.train.offsets[user] + step
            out[int(position)] = ranked.items[0].tolist()
    return out


def _check(store: RankingsStore, expected: dict[int, list[int]]) -> None:
    found = store.read(np.arange(len(store)))
    for position in range(len(store)):
        if position in expected:
            assert found.items[position].tolist() == expected[position]
            assert found.confidence[position] == 1
        else:
            assert found.confidence[position] == 0


@pytest.mark.parametrize("model", [_sasrec(), ItemKNN().build(SPLIT), Popularity().build(SPLIT)])
def test_every_position_is_labelled_as_the_model_would_answer(tmp_path: Path, model: RankingModel) -> None:
    store = RecommenderTeacher(model, "big").label(SPLIT, tmp_path, k=5)
    assert store.written.sum() == SPLIT.train.n_events  # an end for each first
    assert store.manifest.teacher == "big"
    found, expected = store.read(np.arange(len(store))), _expected(model, SPLIT, 5)
    assert {p for p in range(len(store)) if found.confidence[p]} == set(expected)
    if isinstance(model, NeuralModel):  # the others have ties
        _check(store, expected)


def test_ensembles_and_fold_models_are_labelled_in_the_same_way(tmp_path: Path) -> None:
    folds = folds_of_users(SPLIT.n_users, 2)
    fold_model = OutOfFold([_sasrec(seed=1), _sasrec(seed=2)], folds)
    ensemble = Ensemble({"a": fold_model, "b": _sasrec(seed=3)}, [0.4, 0.6], [0.5, 2.0], 0.7)
    for number, model in enumerate((fold_model, ensemble)):
        store = RecommenderTeacher(model, "t").label(SPLIT, tmp_path / str(number), k=5)
        _check(store, _expected(model, SPLIT, 5))


def test_only_events_or_only_ends(tmp_path: Path) -> None:
    teacher, n = RecommenderTeacher(_sasrec()), SPLIT.train.n_events
    whole = teacher.label(SPLIT, tmp_path / "all", k=4).read(np.arange(SPLIT.train.n_positions))
    events = teacher.label(SPLIT, tmp_path / "events", k=4, contexts="events")
    ends = teacher.label(SPLIT, tmp_path / "ends", k=4, contexts="ends")
    assert (events.contexts, ends.contexts) == ("events", "ends")
    a, b = events.read(np.arange(len(events))), ends.read(np.arange(len(ends)))
    assert not a.confidence[n:].any()
    assert not b.confidence[:n].any()
    assert np.vstack([a.items[:n], b.items[n:]]).tolist() == whole.items.tolist()


def test_small_blocks_and_chunks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _sasrec()
    whole = RecommenderTeacher(model).label(SPLIT, tmp_path / "a", k=4).read(np.arange(SPLIT.train.n_positions))
    monkeypatch.setattr("recdistill.teachers.recommender._BLOCK_EVENTS", 10)
    monkeypatch.setattr("recdistill.teachers.recommender._CHUNK_NUMBERS", 90)
    monkeypatch.setattr("recdistill.teachers.positions._BATCH_PLACES", 7)
    parts = RecommenderTeacher(model).label(SPLIT, tmp_path / "b", k=4).read(np.arange(SPLIT.train.n_positions))
    np.testing.assert_array_equal(whole.items, parts.items)
    np.testing.assert_allclose(whole.tail, parts.tail, atol=0.01)


def test_an_interrupted_labelling_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = RecommenderTeacher(_sasrec())
    monkeypatch.setattr("recdistill.teachers.recommender._CHUNK_NUMBERS", 300)
    whole = teacher.label(SPLIT, tmp_path / "a", k=4)
    calls = []

    def counted(scores: torch.Tensor, k: int, wishes: torch.Tensor | None) -> object:
        calls.append(len(scores))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return rankings_of_scores(scores, k, wishes)

    monkeypatch.setattr("recdistill.teachers.recommender.rankings_of_scores", counted)
    with pytest.raises(KeyboardInterrupt):
        teacher.label(SPLIT, tmp_path / "b", k=4)
    store = teacher.label(SPLIT, tmp_path / "b", k=4)
    assert sum(calls) - calls[2] == SPLIT.train.n_events  # the ends count, the firsts do not
    np.testing.assert_array_equal(store.read(np.arange(9)).items, whole.read(np.arange(9)).items)
    assert teacher.label(SPLIT, tmp_path / "b", k=4).manifest == store.manifest


def test_seen_items_can_be_kept(tmp_path: Path) -> None:
    store = RecommenderTeacher(Popularity().build(SPLIT), exclude_seen=False).label(SPLIT, tmp_path, k=99)
    assert store.k == SPLIT.n_items
    assert (store.read(np.flatnonzero(store.read(np.arange(len(store))).confidence)).items >= 0).all()


def test_long_rows_see_at_least_half_a_window(tmp_path: Path) -> None:
    split = tiny_split(n_users=8, n_items=30)
    model = SASRec(dim=8, blocks=1, max_length=4).build(split)
    store = RecommenderTeacher(model).label(split, tmp_path, k=3)
    found = store.read(np.arange(len(store)))
    options = [_expected(model, split, 3, longest) for longest in (2, 3, 4)]
    for position, whole in options[2].items():
        assert found.items[position].tolist() in [whole, *(option[position] for option in options)]


def test_other_catalogue_and_bad_scores(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="ranks 30 items, the data have 12"):
        RecommenderTeacher(_sasrec()).label(tiny_split(n_items=12), tmp_path / "a")
    model = _sasrec()
    model.items.data[3] = torch.nan  # type: ignore[attr-defined]
    with pytest.raises(TeacherError, match="not a number"):
        RecommenderTeacher(model).label(SPLIT, tmp_path / "b")


def test_fingerprints() -> None:
    a, b = _sasrec(), _sasrec(seed=1)
    assert fingerprint_of(a) == fingerprint_of(_sasrec())
    assert fingerprint_of(a) != fingerprint_of(b)
    assert RecommenderTeacher(a).fingerprint() != RecommenderTeacher(a, exclude_seen=False).fingerprint()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12), st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_windows_score_every_event_once_with_enough_context(lengths: list[int], length: int) -> None:
    train = Sequences.from_lists([list(range(n)) for n in lengths])
    cut = overlapping_windows(train, length)
    window, column, positions = cut.places(train)
    expected = [train.offsets[r] + i for r, n in enumerate(lengths) for i in range(1, n)]
    expected += [train.n_events + r for r, n in enumerate(lengths) if n]
    assert sorted(positions.tolist()) == expected
    step = train.events_before(positions)
    assert (train.row_of_position(positions) == cut.rows[window]).all()
    assert (column + 1 >= np.minimum(step, (length + 1) // 2)).all()
    assert (cut.lengths <= length).all()
    inputs = cut.inputs(train, -1)
    assert inputs[window, column].tolist() == (step - 1).tolist()


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.integers(1, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_prefixes(lengths: list[int], longest: int, seed: int) -> None:
    train = Sequences.from_lists([list(range(n)) for n in lengths])
    if not train.n_events:
        return
    positions = np.random.default_rng(seed).integers(0, train.n_positions, 5)
    for row, position in enumerate(positions):
        end = position >= train.n_events
        r = position - train.n_events if end else train.row_of_event()[position]
        step = lengths[r] if end else position - train.offsets[r]
        assert prefixes(train, positions)[row].tolist() == list(range(step))
        assert prefixes(train, positions, longest)[row].tolist() == list(range(step))[-longest:]


@given(st.integers(1, 12), st.integers(1, 15), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_rankings_in_torch_are_those_in_numpy(n_items: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.normal(size=(4, n_items)) * rng.choice([0.1, 3, 60])).astype(np.float32)
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    expected, found = rankings_of(scores, k), rankings_of_scores(torch.from_numpy(scores.copy()), k)
    np.testing.assert_array_equal(found.items, expected.items)
    np.testing.assert_allclose(found.logp, expected.logp, atol=1e-3, rtol=1e-4)
    np.testing.assert_allclose(np.exp(found.tail), np.exp(expected.tail), atol=1e-4)
    np.testing.assert_array_equal(found.confidence, expected.confidence)
