"""What a recommender learns from: a catalogue, a log in integer ids, and its split into contexts and targets."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError, nearest
from .sequences import Sequences

__all__ = ["Catalogue", "Contexts", "Dataset", "Split"]

_ROWS = 4096
"""Contexts that are looked at together."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The items that can be recommended; the position in the lists is the item's index.

    Attributes:
        ids: The users' own ids, as text, all different.
        texts: What a text encoder or LLM reads about each item; empty strings where nothing is known.
        titles: A short human-readable name each.
        categories: Zero or more category names each.
        images: Path of a picture each, or None.
    """

    ids: Sequence[str]
    texts: Sequence[str] | None = None
    titles: Sequence[str] | None = None
    categories: Sequence[tuple[str, ...]] | None = None
    images: Sequence[str | None] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        """Counts, not the items; so it is with all that follows."""
        return f"<Catalogue: {len(self):,} items{', with texts' if self.texts and any(self.texts) else ''}>"

    @cached_property
    def _index(self) -> dict[str, int]:
        return {item: index for index, item in enumerate(self.ids)}

    def index(self, item: str) -> int:
        """The index of an item id.

        Raises:
            DataError: No such item; the nearest id is named.
        """
        try:
            return self._index[item]
        except KeyError:
            close = difflib.get_close_matches(item, self.ids, n=1)
            raise DataError(f"item {item!r} is not in the catalogue", hint=nearest(item, close)) from None

    def title(self, index: int) -> str:
        """The item's title, or its id where there is none."""
        return self.titles[index] if self.titles and self.titles[index] else self.ids[index]

    @cached_property
    def fingerprint(self) -> str:
        """Hash over ids and texts: 16 hex digits."""
        return _digest(str(len(self)), *self.ids, *(self.texts or ()))


@dataclass(frozen=True, eq=False)
class Dataset:
    """A cleaned interaction log with its catalogue.

    Attributes:
        users: The users' own ids, as text; the position is the user's index and the row in ``log``.
        items: The catalogue.
        log: One row per user, oldest event first.
        name: For messages and reports.
        report: What was read, kept and dropped, and why (JSON-like).
        types: Names of the event types, if the log has such a column; ``log.types`` are indices into it.
    """

    users: Sequence[str]
    items: Catalogue
    log: Sequences
    name: str = "dataset"
    report: dict[str, Any] = field(default_factory=dict)
    types: tuple[str, ...] = ()

    def __repr__(self) -> str:
        counts = f"{self.n_users:,} users, {self.n_items:,} items, {self.log.n_events:,} events"
        return f"<Dataset {self.name!r}: {counts}>"

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    @cached_property
    def fingerprint(self) -> str:
        """Hash over catalogue, users and every event: 16 hex digits. Equal data gives equal fingerprints."""
        return _digest(self.items.fingerprint, *self.users, *_arrays(self.log), *self.types)


@dataclass(frozen=True, slots=True, eq=False)
class Contexts:
    """Questions for a ranking model, with the answers that count as right.

    Attributes:
        users: int32 ``[n]``, the user's index, or -1 for an anonymous session.
        history: What the model may see of each context, one row per context.
        targets: The relevant items of each context, one row per context.
    """

    users: npt.NDArray[np.int32]
    history: Sequences
    targets: Sequences

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        return f"<Contexts: {len(self):,}, with {self.targets.n_events:,} targets>"

    def take(self, rows: npt.ArrayLike) -> Contexts:
        """Some contexts, in the order given."""
        index = np.asarray(rows, dtype=np.int64)
        return Contexts(self.users[index], self.history.take(index), self.targets.take(index))

    def repeated(self) -> npt.NDArray[np.bool_]:
        """Which targets are in the history of their own context: bool ``[targets.n_events]``."""
        starts = range(0, len(self), _ROWS)  # in blocks, as histories can be large
        blocks = (self.take(np.arange(start, min(start + _ROWS, len(self)))) for start in starts)
        return np.concatenate([np.zeros(0, dtype=np.bool_), *map(_repeated, blocks)])


def _repeated(contexts: Contexts) -> npt.NDArray[np.bool_]:
    width = 1 + max(int(rows.items.max(initial=0)) for rows in (contexts.history, contexts.targets))
    seen, wanted = (rows.row_of_event() * width + rows.items for rows in (contexts.history, contexts.targets))
    keys, place = np.unique(wanted, return_inverse=True)
    found = np.zeros(len(keys) + 1, dtype=np.bool_)
    at = np.searchsorted(keys, seen)  # many times as fast as a sort of all that was seen
    found[np.where(np.append(keys, -1)[at] == seen, at, len(keys))] = True
    return found[place]


@dataclass(frozen=True, eq=False)
class Split:
    """A dataset divided into what is learned from and what is asked.

    Attributes:
        dataset: Where it came from; users and items keep their indices.
        train: Training events, one row per user of the dataset (rows may be empty). A *position* is an event, the
            label of the context made of the earlier events of its row, or the end of a row
            (:attr:`~recdistill.data.sequences.Sequences.n_positions`).
        valid: For early stopping, tuning and fusion weights.
        test: For the report only.
        method: How it was made, for example ``"leave-last-out"``.
        source: The whole that this is one task's view of, or None.
    """

    dataset: Dataset
    train: Sequences
    valid: Contexts
    test: Contexts
    method: str
    source: Split | None = field(default=None, kw_only=True)

    def __repr__(self) -> str:
        parts = f"{self.train.n_events:,} events to learn from"
        asked = f"{len(self.valid):,} validation and {len(self.test):,} test contexts"
        counts = f"{self.n_users:,} users, {self.n_items:,} items"
        return f"<Split of {self.dataset.name!r}, {self.method}: {counts}, {parts}, {asked}>"

    @property
    def n_users(self) -> int:
        return self.dataset.n_users

    @property
    def n_items(self) -> int:
        return self.dataset.n_items

    @property
    def labelled(self) -> Split:
        """What a model of closed form is fitted to: the training events that count as labels, histories as they are."""
        weights = self.train.weights
        return self if self.source is None or weights is None else replace(self, train=self.train.keep(weights > 0))

    @cached_property
    def popularity(self) -> npt.NDArray[np.int64]:
        """int64 ``[n_items]``: training events of each item; 0 marks a cold item."""
        return np.bincount(self.train.items, minlength=self.n_items)

    def position_of(self, contexts: Contexts) -> npt.NDArray[np.int64]:
        """The training position whose context is the history of each of some contexts: int64 ``[n]``, -1 for none.

        A validation history is usually all of a training row: its position is the end of that row.
        """
        train, history = self.train, contexts.history
        users, lengths = np.maximum(contexts.users, 0).astype(np.int64), history.lengths
        fits = (contexts.users >= 0) & (lengths <= train.lengths[users])
        begin = train.offsets[users]
        place = np.arange(history.n_events) - np.repeat(history.offsets[:-1], lengths)
        at = np.minimum(np.repeat(begin, lengths) + place, max(train.n_events - 1, 0))
        differs = np.repeat(fits, lengths) & (history.items != train.items[at]) if train.n_events else np.zeros(0, bool)
        fits[history.row_of_event()[differs]] = False
        position = np.where(lengths == train.lengths[users], train.n_events + users, begin + lengths)
        return np.where(fits, position, -1)

    @cached_property
    def fingerprint(self) -> str:
        """Hash over the dataset and every part of the split: 16 hex digits."""
        parts: list[str | npt.NDArray[Any]] = [self.dataset.fingerprint, self.method, *_arrays(self.train)]
        for contexts in (self.valid, self.test):
            parts += [contexts.users, *_arrays(contexts.history), *_arrays(contexts.targets)]
        return _digest(*parts)


def _arrays(sequences: Sequences) -> list[npt.NDArray[np.generic]]:
    all_of_them = (
        sequences.offsets,
        sequences.items,
        sequences.times,
        sequences.ratings,
        sequences.weights,
        sequences.types,
    )
    return [np.zeros(0) if array is None else array for array in all_of_them]


def _digest(*parts: str | npt.NDArray[np.generic]) -> str:
    """Hash parts with their lengths in between, so that no two different lists of parts collide."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else np.ascontiguousarray(part).data
        size = len(data) if isinstance(data, bytes) else data.nbytes
        digest.update(f"{size}:".encode())
        digest.update(data)
    return digest.hexdigest()[:16]
