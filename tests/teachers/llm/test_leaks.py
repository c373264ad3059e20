"""Nothing that is asked knows what follows the history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recdistill.data import Contexts, Split
from recdistill.data.sequences import Sequences
from recdistill.errors import ConfigError, TeacherError
from recdistill.knowledge import Knowledge, Rankings, RankingsWriter
from recdistill.models import ItemKNN
from recdistill.teachers import RecommenderTeacher
from recdistill.teachers.llm.asked import asked_at, draw
from recdistill.teachers.llm.candidates import (
    ColdCandidates,
    MixedCandidates,
    PopularCandidates,
    RandomCandidates,
    RecommenderCandidates,
    TeacherCandidates,
)
from recdistill.teachers.llm.candidates.base import Candidates, CandidatesConfig, Ints, Items
from recdistill.teachers.llm.leaks import check_candidates, check_labels, label_share, with_other_labels
from recdistill.teachers.llm.select import Select
from recdistill.teachers.llm.tasks import ColdStart, Listwise, Pairwise, Pointwise, Profile
from recdistill.teachers.llm.tasks.base import Job
from recdistill.teachers.llm.tasks.listwise import ListwiseJob
from recdistill.teachers.llm.teacher import LLM
from recdistill.teachers.out_of_fold import OutOfFold, folds_of_users, without_users
from recdistill.testing import tiny_split

from .jobs import ABLE

SPLIT = tiny_split(n_users=80, cold=4)
GENERATORS: list[CandidatesConfig] = [
    RandomCandidates(n=6),
    ColdCandidates(n=3),
    PopularCandidates(n=6),
    RecommenderCandidates(n=6),
    MixedCandidates(n=6, parts=[RecommenderCandidates(n=3), PopularCandidates(n=2)]),
]


def requests(job: Job) -> list[bytes]:
    return [b"" if (request := job.request(number)) is None else request.encoded for number in range(len(job))]


def other_held_out(split: Split, seed: int) -> Split:
    """The same training events, and other answers in validation and test."""
    rng = np.random.default_rng(seed)

    def shuffled(contexts: Contexts) -> Contexts:
        targets = contexts.targets
        items = rng.permutation(targets.items)
        return Contexts(contexts.users, contexts.history, Sequences(targets.offsets, items, targets.times))

    return replace(split, valid=shuffled(split.valid), test=shuffled(split.test))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("generator", GENERATORS, ids=lambda config: config.name)
def test_other_held_out_events_are_asked_the_same(generator: CandidatesConfig, seed: int) -> None:
    for task in (
        Listwise(contexts=20, orders=2, candidates=generator),
        Pairwise(contexts=20, candidates=generator),
        Pointwise(contexts=20, candidates=generator),
        Profile(contexts=20),
    ):
        job, other = (task.job(split, Knowledge(), ABLE) for split in (SPLIT, other_held_out(SPLIT, seed)))
        assert requests(job) == requests(other)
        assert any(requests(job))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("generator", GENERATORS, ids=lambda config: config.name)
def test_other_labels_of_training_positions_are_asked_the_same(generator: CandidatesConfig, seed: int) -> None:
    """The label of a position and all after it in its row are replaced; the generator was fitted before."""
    task = Listwise(at="events", contexts=40, candidates=generator, seed=seed)
    prepared = generator.prepare(SPLIT, Knowledge())
    positions = task.positions(SPLIT)
    rows = SPLIT.train.row_of_position(positions)
    positions = positions[np.unique(rows, return_index=True)[1]]
    rng = np.random.default_rng(seed)
    changed = replace(SPLIT, train=with_other_labels(SPLIT.train, positions, SPLIT.n_items, rng))
    assert (changed.train.items[positions] != SPLIT.train.items[positions]).all()
    made = []
    for split in (SPLIT, changed):
        drawn = draw(prepared, split.train, positions, task.seed, generator.n)
        job = ListwiseJob(task, SPLIT, asked_at(split.train, positions, task.history), drawn, ABLE)
        made.append(requests(job))
    assert made[0] == made[1]


def test_calibration_asks_about_validation_and_the_rest_stays_the_same() -> None:
    task = Pointwise(contexts=10, candidates=RandomCandidates(n=4), calibrate=10)
    job, other = (task.job(split, Knowledge(), ABLE) for split in (SPLIT, other_held_out(SPLIT, 1)))
    stored = int(job.offsets[job.labelled])
    assert requests(job)[:stored] == requests(other)[:stored]
    assert requests(job)[stored:] != requests(other)[stored:]


def test_stored_rankings_that_hold_every_label_are_refused(tmp_path: Path) -> None:
    n = SPLIT.train.n_positions
    items = np.tile(np.arange(6, dtype=np.int32), (n, 1))
    items[: SPLIT.train.n_events, 0] = SPLIT.train.items
    lists = Rankings(
        items,
        np.full((n, 6), -2, dtype=np.float32),
        np.full((n, 3), -2, dtype=np.float32),
        np.ones(n, dtype=np.float32),
    )
    writer = RankingsWriter(
        tmp_path / "r", teacher="cheat", teacher_fingerprint="c", split_fingerprint=SPLIT.fingerprint, rows=n, k=6,
        n_items=SPLIT.n_items, meaning="made from labels", contexts="all",
    )  # fmt: skip
    writer.add(np.arange(n), lists)
    writer.seal(out_of_fold=True)
    task = Listwise(at="events", contexts=None, candidates=TeacherCandidates(teacher="cheat", n=5))
    with pytest.raises(TeacherError, match=r"the right item is among the candidates in all of \d+ contexts"):
        task.job(SPLIT, Knowledge.open(tmp_path), ABLE)


def test_a_generator_that_looks_the_label_up_is_refused() -> None:
    events = Listwise(at="events", contexts=None).positions(SPLIT)
    asked = asked_at(SPLIT.train, events, 10)

    class Spy(Candidates):
        """Knows the log and the position, and so the label."""

        def draw(self, contexts: Contexts, positions: Ints, seed: int) -> Items:
            labels = SPLIT.train.items[positions]
            return np.stack([labels, *(np.full(len(positions), -1),) * 3], axis=1).astype(np.int32)

    drawn = draw(Spy(), SPLIT.train, events, 0, 4)
    with pytest.raises(TeacherError, match=r"the right item is among the candidates in all of \d+ contexts"):
        check_candidates(SPLIT, asked, drawn)


def test_a_generator_whose_draw_is_no_function_of_the_context_is_refused() -> None:
    events = Listwise(at="events", contexts=30).positions(SPLIT)
    asked = asked_at(SPLIT.train, events, 10)

    class Moody(Candidates):
        """Another draw each time, as one that depends on what it was not given."""

        calls = 0

        def draw(self, contexts: Contexts, positions: Ints, seed: int) -> Items:
            self.calls += 1
            return np.random.default_rng(self.calls).integers(0, 40, (len(contexts), 4)).astype(np.int32)

    moody = Moody()
    drawn = draw(moody, SPLIT.train, events, 0, 4)
    with pytest.raises(TeacherError, match="the label would leak into the questions"):
        check_labels(lambda _: moody, SPLIT, asked, drawn, 10, 0)


def test_what_was_fitted_to_the_label_is_refused() -> None:
    config = RecommenderCandidates(n=6)
    events = Listwise(at="events", contexts=None).positions(SPLIT)
    asked = asked_at(SPLIT.train, events, 10)
    drawn = draw(config.prepare(SPLIT, Knowledge()), SPLIT.train, events, 0, 6)
    with pytest.raises(TeacherError, match="the label would leak into the questions"):
        check_labels(lambda split: config.prepare(split, Knowledge()), SPLIT, asked, drawn, 10, 0)


def test_before_events_candidates_find_the_label_by_chance_only_where_nothing_can_be_known() -> None:
    rng = np.random.default_rng(0)
    train = SPLIT.train
    noise = Sequences(train.offsets, rng.integers(0, SPLIT.n_items, train.n_events).astype(np.int32), train.times)
    split = replace(SPLIT, train=noise)
    task = Listwise(at="events", contexts=None, candidates=RecommenderCandidates(n=6))
    asked, candidates = task.drawn(split, Knowledge())
    share, known = label_share(noise, asked.positions, candidates)
    fitted = draw(task.candidates.prepare(split, Knowledge()), noise, asked.positions, 0, 6)
    assert share < 6 / SPLIT.n_items + 3 * np.sqrt(0.15 * 0.85 / known)
    assert label_share(noise, asked.positions, fitted)[0] > 0.4


def test_models_and_stores_that_know_the_labels_are_refused(tmp_path: Path) -> None:
    ItemKNN().build(SPLIT, Knowledge()).save(tmp_path / "m")
    store = RecommenderTeacher(ItemKNN().build(SPLIT, Knowledge()), name="big").label(SPLIT, tmp_path / "r", k=10)
    assert not store.manifest.extra.get("out_of_fold")
    saved, stored = RecommenderCandidates(n=4, path=tmp_path / "m"), TeacherCandidates(n=4, teacher="big")
    known = Knowledge.open(tmp_path / "r")
    for config in (saved, stored, MixedCandidates(n=8, parts=[saved, RandomCandidates(n=2)])):
        Listwise(contexts=20, candidates=config).drawn(SPLIT, known)
        with pytest.raises(ConfigError, match=r"was fitted to the events that are asked about.*use at: ends"):
            Listwise(at="events", contexts=20, candidates=config).drawn(SPLIT, known)
    with pytest.raises(ConfigError, match=r"has learned from the events.*remove on_policy"):
        LLM(task=Listwise(at="events"), select=Select(on_policy=True))


def test_stored_rankings_of_models_that_had_not_seen_the_user_may_be_used(tmp_path: Path) -> None:
    folds = folds_of_users(SPLIT.n_users, 2)
    models = [ItemKNN().build(without_users(SPLIT, folds == fold), Knowledge()) for fold in range(2)]
    RecommenderTeacher(OutOfFold(models, folds), name="big").label(SPLIT, tmp_path / "r", k=10)
    task = Listwise(at="events", contexts=20, candidates=TeacherCandidates(n=4, teacher="big"))
    assert len(task.drawn(SPLIT, Knowledge.open(tmp_path / "r"))[0]) == 20


def test_an_honest_generator_passes_and_its_share_is_told() -> None:
    task = Listwise(at="events", contexts=None, candidates=RecommenderCandidates(n=6, model=ItemKNN()))
    job = task.job(SPLIT, Knowledge(), ABLE)
    share, known = label_share(SPLIT.train, job.asked.positions, job.candidates)
    assert 0.1 < share < 1
    assert len(job.asked) / 2 < known < len(job.asked)  # without labels that the history holds
    assert check_candidates(SPLIT, job.asked, job.candidates) == share
    ends = Listwise(candidates=RandomCandidates(n=6)).job(SPLIT, Knowledge(), ABLE)
    assert check_candidates(SPLIT, ends.asked, ends.candidates) is None


def test_new_items_need_new_items() -> None:
    warm = tiny_split(n_users=300, n_items=12, cold=0)
    with pytest.raises(ConfigError, match="there are 0 items with at most 0 training events; raise events"):
        ColdStart().job(warm, Knowledge(), ABLE)
