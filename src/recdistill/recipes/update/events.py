"""Events of the feedback store in the numbers of a dataset, and the data that an update learns from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...data.dataset import Contexts, Dataset, Split
from ...data.sequences import Sequences
from ...serving.feedback import Event, EventStore
from ...serving.feedback.base import NEGATIVE

__all__ = ["Feedback", "Lesson", "read_feedback", "take_up", "whole_log"]

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_BATCH = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Feedback:
    """What users did with items of the catalogue, in the order in which it was stored.

    Attributes:
        users: int64 ``[n]``, the users of the dataset, then ``newcomers``.
        items: int64 ``[n]``.
        times: int64 ``[n]``, milliseconds since 1970.
        numbers: int64 ``[n]``, of the events in their store.
        newcomers: Ids of users whom the dataset does not know.
        last: Number of the newest event of the store.
        types: Events behind the cursor, by type.
        unknown: Events behind the cursor with an item that is not in the catalogue, by item.
    """

    users: Ints
    items: Ints
    times: Ints
    numbers: Ints
    newcomers: tuple[str, ...]
    last: int
    types: Counter[str]
    unknown: Counter[str]

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """The data of an update.

    Attributes:
        split: Its training events are the rows of users with something new and of some others, for replay; validation
            is that of the run, then the newest event of users with several new ones, held back.
        judged: The same of the users on the gate's side, who are there for good: nothing is trained or chosen by these.
        stored_at: int64 ``[split.train.n_positions]``: the position of the run's training events with the same context,
            -1 where there is none.
        new: bool ``[split.train.n_positions]``, new events.
        replayed: Older events among the training events.
    """

    split: Split
    judged: Contexts
    stored_at: Ints
    new: Mask
    replayed: int


def read_feedback(store: EventStore, dataset: Dataset, cursor: int) -> Feedback:
    """All events that say something good about an item of the catalogue.

    Args:
        store: Where they are.
        dataset: Its users and items.
        cursor: Number of the newest event that was learned already.
    """
    items = {item: at for at, item in enumerate(dataset.items.ids)}
    users = {user: at for at, user in enumerate(dataset.users)}
    types: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    rows, last = [], 0
    for number, event in _events(store):
        last = number
        if number > cursor:
            types[event.type] += 1
            unknown[event.item] += event.item not in items
        if event.type not in NEGATIVE and event.item in items:
            user = users.setdefault(event.user, len(users))
            rows.append((user, items[event.item], round(event.time * 1e3), number))
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    newcomers = tuple(users)[dataset.n_users :]
    return Feedback(table[:, 0], table[:, 1], table[:, 2], table[:, 3], newcomers, last, types, +unknown)


def _events(store: EventStore) -> Iterator[tuple[int, Event]]:
    last = 0
    while found := store.after(last, _BATCH):
        yield from found
        last = found[-1][0]


def whole_log(dataset: Dataset, feedback: Feedback) -> Dataset:
    """The dataset with all feedback behind each user's events: what a bundle says about popularity and users."""
    log, _ = _joined(dataset.log, feedback, np.ones(len(feedback), dtype=np.bool_))
    return replace(dataset, users=[*dataset.users, *feedback.newcomers], log=log, types=())


def take_up(split: Split, feedback: Feedback, cursor: int, replay: float, seed: int) -> Lesson:
    """The data that an update learns from.

    Args:
        split: Of the run; its validation and test events are not learned from.
        feedback: All of it.
        cursor: Number of the newest event that was learned already.
        replay: Older events for each new one.
        seed: Of the choice of users for replay.
    """
    new = feedback.numbers > cursor
    held = _newest_of_several(feedback, new)
    joined, source = _joined(split.train, feedback, ~held)
    is_new = np.zeros(joined.n_events, dtype=np.bool_)
    is_new[source < 0] = new[-source[source < 0] - 1]
    chosen = _rows(joined, is_new, replay, seed)
    kept = chosen[joined.row_of_event()]
    train, source, is_new = joined.keep(kept), source[kept], is_new[kept]
    dataset = whole_log(split.dataset, feedback)
    for_gate = np.zeros(len(feedback), dtype=np.bool_)
    for_gate[held] = [_on_gate_side(dataset.users[user]) for user in feedback.users[held]]
    valid = _together(split.valid, _contexts(joined, feedback, held & ~for_gate))
    lesson = Split(dataset, train, valid, split.test, f"{split.method}, with feedback")
    ends = np.zeros(len(train), dtype=np.bool_)
    stored_at = _stored(split.train, train, source, chosen)
    judged = _contexts(joined, feedback, for_gate)
    return Lesson(lesson, judged, stored_at, np.concatenate([is_new, ends]), int((~is_new).sum()))


def _newest_of_several(feedback: Feedback, new: Mask) -> Mask:
    """The newest new event of each user that has at least two."""
    order = np.lexsort((feedback.numbers, feedback.times, feedback.users))
    order = order[new[order]]
    users = feedback.users[order]
    last = np.append(users[1:] != users[:-1], True)[: len(users)]
    counts = np.bincount(users, minlength=1)
    held = np.zeros(len(feedback), dtype=np.bool_)
    held[order[last & (counts[users] > 1)]] = True
    return held


def _on_gate_side(user: str) -> bool:
    """Of half of the users, in every update the same ones; not the halves of an A/B split."""
    return bool(hashlib.blake2b(user.encode("utf-8", "replace"), digest_size=1, person=b"update gate").digest()[0] & 1)


def _joined(log: Sequences, feedback: Feedback, wanted: Mask) -> tuple[Sequences, Ints]:
    """Feedback behind the events of a log, and where each event was: in the log, or ``-1 - n`` as feedback ``n``."""
    n_rows = len(log) + len(feedback.newcomers)
    ours = np.flatnonzero(wanted)
    rows = np.concatenate([log.row_of_event(), feedback.users[ours]])
    items = np.concatenate([log.items, feedback.items[ours]])
    stamps = np.concatenate([np.zeros(log.n_events, dtype=np.int64), feedback.times[ours]])
    source = np.concatenate([np.arange(log.n_events), -1 - ours])
    # stable, so that the order of the log stays; what is fed back comes behind it by time
    order = np.lexsort((stamps, source < 0, rows))
    times = None
    if log.times is not None:
        times = np.concatenate([log.times, feedback.times[ours]])[order]
    return Sequences.from_sorted(rows[order], n_rows, items[order], times=times), source[order]


def _rows(joined: Sequences, is_new: Mask, replay: float, seed: int) -> Mask:
    """Rows with a new event, and as many others, drawn, as hold the wanted number of older events."""
    rows = joined.row_of_event()
    chosen = np.zeros(len(joined), dtype=np.bool_)
    chosen[rows[is_new]] = True
    left = replay * is_new.sum() - (~is_new & chosen[rows]).sum()
    others = np.random.default_rng(seed).permutation(np.flatnonzero(~chosen & (joined.lengths > 1)))
    before = np.concatenate([[0], np.cumsum(joined.lengths[others])[:-1]]) if len(others) else np.zeros(0)
    chosen[others[before < left]] = True
    return chosen


def _contexts(joined: Sequences, feedback: Feedback, held: Mask) -> Contexts:
    """What was held back, with all that its users did before."""
    at = np.flatnonzero(held)
    users = feedback.users[at]
    targets = Sequences.from_sorted(np.arange(len(at)), len(at), feedback.items[at])
    return Contexts(users.astype(np.int32), joined.take(users).without_extras(), targets)


def _together(first: Contexts, second: Contexts) -> Contexts:
    def below(one: Sequences, other: Sequences) -> Sequences:
        offsets = np.concatenate([one.offsets, one.offsets[-1] + other.offsets[1:]])
        return Sequences(offsets, np.concatenate([one.items, other.items]))

    users = np.concatenate([first.users, second.users])
    return Contexts(users, below(first.history, second.history), below(first.targets, second.targets))


def _stored(before: Sequences, train: Sequences, source: Ints, chosen: Mask) -> Ints:
    """Where the run's teacher was asked about the same context.

    An event of the run has its own position. The first event that was fed back has the whole old row as its context, as
    the end of that row had; so has the end of a row without feedback.
    """
    events = source.copy()
    rows = train.row_of_event()
    first = np.flatnonzero((source < 0) & np.append(True, (source[:-1] >= 0) | (rows[1:] != rows[:-1]))[: len(source)])
    old = rows[first] < len(before)
    events[source < 0] = -1
    events[first[old]] = before.n_events + rows[first[old]]
    ends = np.full(len(train), -1, dtype=np.int64)
    same = np.flatnonzero(chosen[: len(before)] & (train.lengths[: len(before)] == before.lengths))
    ends[same] = before.n_events + same
    return np.concatenate([events, ends])
