"""Feedback in the numbers of a dataset, and what an update learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.recipes.update.events import Feedback, read_feedback, take_up, whole_log
from recdistill.serving.feedback import Event, open_store
from tests.synthetic import tiny_split

SPLIT = tiny_split(n_users=12, n_items=20)
ROW = st.tuples(st.integers(0, 15), st.integers(0, 19), st.integers(0, 5))


def feedback_of(rows: list[tuple[int, int, int]]) -> Feedback:
    """From (user, item, second) in the order in which they were stored; users from 12 on are new."""
    from collections import Counter

    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    numbers = np.arange(1, len(rows) + 1)
    new = tuple(f"new{at}" for at in range(4))
    return Feedback(table[:, 0], table[:, 1], table[:, 2] * 1000, numbers, new, len(rows), Counter(), Counter())


def test_events_are_read_in_the_numbers_of_the_dataset(tmp_path: Path) -> None:
    store = open_store(None, tmp_path / "feedback.sqlite")
    store.add(
        [
            Event("a", "u3", "i5", "click", 10.0),
            Event("b", "stranger", "i6", "purchase", 11.5),
            Event("c", "u3", "gone", "click", 12.0),
            Event("d", "u3", "i7", "dislike", 13.0),
            Event("e", "stranger", "i8", "click", 14.0),
        ]
    )
    found = read_feedback(store, SPLIT.dataset, cursor=1)
    store.close()
    assert found.users.tolist() == [3, 12, 12]
    assert found.items.tolist() == [5, 6, 8]
    assert found.times.tolist() == [10_000, 11_500, 14_000]
    assert found.numbers.tolist() == [1, 2, 5]
    assert found.newcomers == ("stranger",)
    assert found.last == 5
    assert dict(found.types) == {"purchase": 1, "click": 2, "dislike": 1}  # behind the cursor
    assert dict(found.unknown) == {"gone": 1}


def test_a_store_without_events(tmp_path: Path) -> None:
    store = open_store(None, tmp_path / "feedback.sqlite")
    found = read_feedback(store, SPLIT.dataset, cursor=0)
    store.close()
    assert (len(found), found.last, found.newcomers) == (0, 0, ())
    assert whole_log(SPLIT.dataset, found).log.items.tolist() == SPLIT.dataset.log.items.tolist()


def test_the_whole_log_has_feedback_behind_each_user() -> None:
    found = whole_log(SPLIT.dataset, feedback_of([(0, 4, 9), (13, 5, 2), (0, 3, 1)]))
    assert found.n_users == 16
    assert found.log[0].tolist() == [*SPLIT.dataset.log[0], 3, 4]  # by time
    assert found.log[13].tolist() == [5]
    assert found.log[1].tolist() == SPLIT.dataset.log[1].tolist()


@given(st.lists(ROW, min_size=1, max_size=40), st.integers(0, 20), st.sampled_from([0.0, 1.0, 1e9]))
def test_what_is_learned_from(rows: list[tuple[int, int, int]], cursor: int, replay: float) -> None:
    feedback = feedback_of(rows)
    lesson = take_up(SPLIT, feedback, cursor, replay, seed=0)
    train, old = lesson.split.train, SPLIT.train
    new = feedback.numbers > cursor
    counts = np.bincount(feedback.users[new], minlength=16)
    # the newest new event of each user with several is held back, with all before it as history
    valid = lesson.split.valid
    assert valid.targets.items[: SPLIT.valid.targets.n_events].tolist() == SPLIT.valid.targets.items.tolist()
    choosing = valid.take(np.arange(len(SPLIT.valid), len(valid)))
    held = [(part, row, int(user)) for part in (choosing, lesson.judged) for row, user in enumerate(part.users)]
    assert sorted(user for _, _, user in held) == np.flatnonzero(counts > 1).tolist()
    assert int(lesson.new.sum()) == new.sum() - len(held)
    for part, row, user in held:
        own = [(s, n, i) for n, (u, i, s) in enumerate(rows, 1) if u == user]
        newest = max((s, n, i) for s, n, i in own if n > cursor)
        assert part.targets[row].tolist() == [newest[2]]
        fed = [i for _, _, i in sorted(one for one in own if one != newest)]
        before = old[user].tolist() if user < 12 else []
        assert part.history[row].tolist() == [*before, *fed]
        assert train[user].tolist() in ([*before, *fed], [])
    # every event of a chosen row that the run knows has the position that it had
    position = lesson.stored_at[: train.n_events]
    for at in np.flatnonzero((position >= 0) & (position < old.n_events)):
        user = int(np.searchsorted(train.offsets, at, side="right") - 1)
        assert old.items[position[at]] == train.items[at]
        assert at - train.offsets[user] == position[at] - old.offsets[user]
    # what has the position of an old row's end has the whole old row as its context
    for at in np.flatnonzero(lesson.stored_at >= old.n_events):
        user = int(lesson.stored_at[at]) - old.n_events
        end = at - train.offsets[user] if at < train.n_events else train.lengths[user]
        assert train[user][:end].tolist() == old[user].tolist()
    assert lesson.replayed == train.n_events - lesson.new.sum()
    if replay == 1e9 and lesson.new.any():
        assert (train.lengths[:12][old.lengths > 1] > 0).all()
    if not replay:
        assert set(np.flatnonzero(train.lengths)) <= set(feedback.users[new].tolist())


def test_users_stay_on_their_side() -> None:
    """Whoever is the gate's in one update never chooses in another; both sides have about half."""
    split = tiny_split(n_users=400, n_items=40)
    rows = [(user, item, item) for item in range(4) for user in range(400)]
    early, late = (take_up(split, feedback_of(part), 0, 4.0, 0) for part in (rows[:800], rows))
    assert set(early.judged.users) == set(late.judged.users)
    assert set(late.judged.users).isdisjoint(late.split.valid.users[len(split.valid) :])
    assert 160 <= len(late.judged) <= 240


@pytest.mark.parametrize("seed", [0, 1])
def test_as_many_old_events_as_wanted_are_replayed(seed: int) -> None:
    split = tiny_split(n_users=400, n_items=40)
    lesson = take_up(split, feedback_of([(u, u, u) for u in range(10)]), 0, replay=20.0, seed=seed)
    assert 200 <= lesson.replayed < 200 + split.train.lengths.max()
