"""That nothing which is asked knows the answer: checked at every job, before anything is spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...data.dataset import Split
from ...data.sequences import Sequences
from ...errors import TeacherError
from .asked import Asked, asked_at, draw
from .candidates.base import Candidates, Ints, Items

__all__ = ["check_candidates", "check_labels", "label_share"]

_SAMPLE = 64
_ENOUGH = 50
"""Labels from which on a share of all is no chance."""


def check_labels(
    prepare: Callable[[Split], Candidates], split: Split, asked: Asked, candidates: Items, history: int, seed: int
) -> None:
    """Draw candidates and histories again from a log in which what follows each context is something else.

    A sample of contexts is made anew from training rows whose events from the position on are replaced by random other
    items; the generator is prepared anew from them, and histories and candidates must be the same.

    Args:
        prepare: Prepares what drew the candidates, from a log.
        split: The data.
        asked: The contexts.
        candidates: int32 ``[contexts, n]``.
        history: Newest events shown.
        seed: That they were drawn with.

    Raises:
        TeacherError: They differ: the generator sees what it must not.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(asked))[:_SAMPLE])
    rows = split.train.row_of_position(asked.positions[chosen])
    _, first = np.unique(rows, return_index=True)  # one position of each row, as rows are changed
    chosen = chosen[np.sort(first)]
    positions = asked.positions[chosen]
    changed = with_other_labels(split.train, positions, split.n_items, rng)
    again = asked_at(changed, positions, history)
    same = all(np.array_equal(asked.history[a], again.history[b]) for b, a in enumerate(chosen.tolist()))
    generator = prepare(replace(split, train=changed))
    redrawn = draw(generator, changed, positions, seed, candidates.shape[1])
    if not same or not np.array_equal(redrawn, candidates[chosen]):
        raise TeacherError(
            "the candidates change with what follows the history: the label would leak into the questions",
            where=type(generator).__name__,
            hint="draw candidates from the contexts that are given, and from nothing else",
        )


def check_candidates(split: Split, asked: Asked, candidates: Items) -> float | None:
    """Refuse candidates that look as if they were made from the labels.

    Returns:
        Share of the contexts whose label is among the candidates, of those that have a label.

    Raises:
        TeacherError: It is all of them, of many contexts and few of all items.
    """
    share, known = label_share(split.train, asked.positions, candidates)
    if share == 1.0 and known >= _ENOUGH and candidates.shape[1] < split.n_items / 4:
        raise TeacherError(
            f"the right item is among the candidates in all of {known} contexts: they look as if made from the labels",
            hint="use candidates that are made without the event that follows",
        )
    return share if known else None


def label_share(train: Sequences, positions: Ints, candidates: Items) -> tuple[float, int]:
    """How often the label of a position is among its candidates, and how many positions have a label.

    Labels that the history holds already are left out, as candidates are never of the history.
    """
    keys = train.row_of_event() * (int(train.items.max(initial=0)) + 1) + train.items
    fresh = np.zeros(train.n_events, dtype=np.bool_)
    fresh[np.unique(keys, return_index=True)[1]] = True  # the first event of an item in its row
    events = np.flatnonzero((positions >= 0) & (positions < train.n_events))
    events = events[fresh[positions[events]]]
    labels = train.items[positions[events]]
    found = (candidates[events] == labels[:, None]).any(axis=1)
    return (float(found.mean()) if len(events) else 0.0), len(events)


def with_other_labels(train: Sequences, positions: Ints, n_items: int, rng: np.random.Generator) -> Sequences:
    """The log with other items from each position on to the end of its row; ends of rows stay as they are."""
    items = train.items.copy()
    for position in positions[positions < train.n_events].tolist():
        end = int(train.offsets[int(train.row_of_position(np.array([position]))[0]) + 1])
        items[position:end] = (items[position:end] + rng.integers(1, n_items, end - position)) % n_items
    return Sequences(train.offsets, items, train.times, train.ratings, train.weights, train.types)
