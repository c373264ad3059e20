"""What a student thinks of some contexts, from its scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ....data.dataset import Split
from ....data.sequences import Sequences
from ....errors import ConfigError, KnowledgeError
from ....knowledge import Rankings, RankingsStore, rankings_of
from ....models.base import RankingModel, VectorModel
from ..asked import asked_at, without_targets
from ..candidates.base import blocks
from .base import Doubles, Floats, Ints, Need, Outlook

__all__ = ["outlook"]

_NUMBERS = 1 << 22
"""Scores held at once."""
_K = 20
"""First items that selectors may look at."""


def outlook(
    student: RankingModel, split: Split, positions: Ints, needs: frozenset[Need], *, labelled: Ints | None = None,
    beside: RankingsStore | RankingModel | None = None,
) -> Outlook:  # fmt: skip
    """Look at contexts with the eyes of a student.

    Args:
        student: Any fitted model.
        split: The data.
        positions: int64 ``[n]``, training positions of the contexts.
        needs: What is wanted.
        labelled: Positions that were chosen before.
        beside: Another teacher's stored rankings, or another model.

    Raises:
        ConfigError: Vectors are wanted of a model that has none.
        KnowledgeError: The other teacher says nothing about any of the contexts.
    """
    first, vectors, losses = None, None, None
    if "student" in needs:
        first = _first(student, split.train, positions)
    if "vectors" in needs:
        vectors = _vectors(student, split.train, positions)
    if "losses" in needs:
        losses = _losses(student, split.train, positions)
    known = None if vectors is None or labelled is None else _vectors(student, split.train, labelled)
    return Outlook(len(positions), first, losses, vectors, known, _beside(beside, split, positions, needs))


def _beside(
    other: RankingsStore | RankingModel | None, split: Split, positions: Ints, needs: frozenset[Need]
) -> Rankings | None:
    if "beside" not in needs or other is None:
        return None
    if isinstance(other, RankingModel):
        return _first(other, split.train, positions)
    found = other.read(positions)
    if len(positions) and (found.items < 0).all():
        what = f"{other.manifest.teacher!r} has ranked none of the contexts that may be chosen"
        raise KnowledgeError(what, where=other.path, hint=f"it ranked {other.contexts}; see at: of the task")
    return found


def _first(model: RankingModel, train: Sequences, positions: Ints) -> Rankings:
    parts = []
    for block in blocks(len(positions), max(1, _NUMBERS // model.n_items)):
        contexts = without_targets(asked_at(train, positions[block], None))
        scores = np.array(model.score(contexts), dtype=np.float32)
        parts.append(rankings_of(scores, min(_K, model.n_items), exclude=contexts.history))
    return Rankings(*(np.concatenate([getattr(part, name) for part in parts]) for name in Rankings.__slots__))


def _vectors(model: RankingModel, train: Sequences, positions: Ints) -> Floats:
    if not isinstance(model, VectorModel):
        hint = "choose by uncertainty, or take a student such as sasrec or mf"
        raise ConfigError(f"{model.config.name} has no vectors of contexts", key=("by",), hint=hint)
    parts = [
        model.encode(without_targets(asked_at(train, positions[block], None)))
        for block in blocks(len(positions), max(1, _NUMBERS // model.n_items))
    ]
    return np.concatenate(parts) if parts else np.zeros((0, 1), dtype=np.float32)


def _losses(model: RankingModel, train: Sequences, positions: Ints) -> Doubles:
    """−log p of the event at a position, at the end of a row of its newest one; NaN without an event before that."""
    events = _known_events(train, positions)
    out = np.full(len(positions), np.nan)
    askable = np.flatnonzero(train.events_before(events) > 0)
    for block in blocks(len(askable), max(1, _NUMBERS // model.n_items)):
        rows = askable[block]
        scores = np.asarray(model.score(without_targets(asked_at(train, events[rows], None))), dtype=np.float64)
        greatest = scores.max(axis=1)
        total = greatest + np.log(np.exp(scores - greatest[:, None]).sum(axis=1))
        out[rows] = total - scores[np.arange(len(rows)), train.items[events[rows]]]
    return out


def _known_events(train: Sequences, positions: Ints) -> npt.NDArray[np.int64]:
    """The event at each position; at the end of a row, where there is none, the one before."""
    newest = train.offsets[train.row_of_position(positions) + 1] - 1
    return np.where(positions < train.n_events, positions, newest)
