"""Ragged integer sequences in compressed rows: the shape of every log, history and target list."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

__all__ = ["Sequences"]

Ints = npt.NDArray[np.int64]
Items = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """Rows of item indices of different lengths, oldest first, in one flat array.

    Attributes:
        offsets: int64 ``[rows + 1]``; row ``r`` is ``items[offsets[r]:offsets[r + 1]]``.
        items: int32 ``[events]``, indices into the catalogue.
        times: int64 ``[events]``, milliseconds since 1970 UTC, or None where the log has no time.
        ratings: float32 ``[events]`` or None.
        weights: float32 ``[events]``, weight of the event in the loss, or None (all 1).
        types: int16 ``[events]``, indices into the dataset's type names (click, purchase, …), or None.
    """

    offsets: Ints
    items: Items
    times: Ints | None = None
    ratings: npt.NDArray[np.float32] | None = None
    weights: npt.NDArray[np.float32] | None = None
    types: npt.NDArray[np.int16] | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        """Counts, not the arrays."""
        return f"<Sequences: {len(self):,} rows, {self.n_events:,} events>"

    def __getitem__(self, row: int) -> Items:
        """The items of one row, a view."""
        return self.items[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> Ints:
        """int64 ``[rows]``."""
        return np.diff(self.offsets)

    @property
    def n_events(self) -> int:
        """Number of events in all rows."""
        return len(self.items)

    @property
    def n_positions(self) -> int:
        """Number of places in a log where something can be ranked: every event, and the end of every row.

        Position ``p < n_events`` is event ``p``: the label of the context made of the earlier events of its row.
        Position ``n_events + r`` is the end of row ``r``: its context is the whole row, and nobody knows what follows.
        """
        return self.n_events + len(self)

    def row_of_position(self, positions: Ints) -> Ints:
        """The row of each position: int64, the shape of ``positions``."""
        at_end = positions >= self.n_events
        return np.where(at_end, positions - self.n_events, np.searchsorted(self.offsets, positions, side="right") - 1)

    def events_before(self, positions: Ints) -> Ints:
        """How many events of its row come before each position: int64, the shape of ``positions``."""
        row, at_end = self.row_of_position(positions), positions >= self.n_events
        return np.where(at_end, self.lengths[row], positions - self.offsets[row])

    def row_of_event(self) -> Ints:
        """int64 ``[events]``: the row each event is in."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def take(self, rows: npt.ArrayLike) -> Sequences:
        """Some rows, in the order given (repeats allowed)."""
        index = np.asarray(rows, dtype=np.int64)
        lengths = self.lengths[index]
        offsets = _offsets(lengths)
        at = np.repeat(self.offsets[index] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return self._pick(offsets, at)

    def keep(self, mask: npt.NDArray[np.bool_]) -> Sequences:
        """Only the events where ``mask`` (bool ``[events]``) holds; rows stay, some may become empty."""
        counts = np.concatenate(([0], np.cumsum(mask)))[self.offsets]
        return self._pick(counts.astype(np.int64), np.flatnonzero(mask))

    def last(self, n: int) -> Sequences:
        """At most the newest ``n`` events of each row."""
        position_from_end = np.repeat(self.offsets[1:], self.lengths) - np.arange(self.n_events)
        return self.keep(position_from_end <= n)

    def concat(self, other: Sequences) -> Sequences:
        """Row-wise concatenation: row ``r`` of the result is ``self[r]`` followed by ``other[r]``."""
        offsets = self.offsets + other.offsets
        own = self.row_of_event()
        theirs = other.row_of_event()
        at_own = np.arange(self.n_events) + other.offsets[own]
        at_theirs = np.arange(other.n_events) + self.offsets[theirs + 1]

        def merge(
            a: npt.NDArray[np.generic] | None, b: npt.NDArray[np.generic] | None
        ) -> npt.NDArray[np.generic] | None:
            if a is None or b is None:
                return None
            out = np.empty(self.n_events + other.n_events, dtype=a.dtype)
            out[at_own], out[at_theirs] = a, b
            return out

        return Sequences(
            offsets,
            merge(self.items, other.items),  # type: ignore[arg-type]
            merge(self.times, other.times),  # type: ignore[arg-type]
            merge(self.ratings, other.ratings),  # type: ignore[arg-type]
            merge(self.weights, other.weights),  # type: ignore[arg-type]
            merge(self.types, other.types),  # type: ignore[arg-type]
        )

    def padded(self, length: int, pad: int) -> npt.NDArray[np.int64]:
        """The newest ``length`` items of each row, left-aligned: int64 ``[rows, length]``, filled with ``pad``."""
        tail = self.last(length)
        out = np.full((len(self), length), pad, dtype=np.int64)
        row = tail.row_of_event()
        out[row, np.arange(tail.n_events) - tail.offsets[row]] = tail.items
        return out

    def without_extras(self) -> Sequences:
        """Only offsets and items."""
        return replace(self, times=None, ratings=None, weights=None, types=None)

    def _pick(self, offsets: Ints, at: Ints) -> Sequences:
        return Sequences(
            offsets,
            self.items[at],
            None if self.times is None else self.times[at],
            None if self.ratings is None else self.ratings[at],
            None if self.weights is None else self.weights[at],
            None if self.types is None else self.types[at],
        )

    @staticmethod
    def from_lists(rows: list[list[int]]) -> Sequences:
        """From Python lists of item indices."""
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        flat = np.array([item for row in rows for item in row], dtype=np.int32)
        return Sequences(_offsets(lengths), flat)

    @staticmethod
    def from_sorted(
        rows: npt.NDArray[np.integer], n_rows: int, items: npt.ArrayLike, **extras: npt.ArrayLike | None
    ) -> Sequences:
        """From flat arrays whose events are sorted by ``rows`` (int ``[events]``, each in ``0..n_rows-1``)."""
        kinds = {"times": np.int64, "ratings": np.float32, "weights": np.float32, "types": np.int16}
        named = {k: None if v is None else np.ascontiguousarray(v, dtype=kinds[k]) for k, v in extras.items()}
        counts = np.bincount(rows, minlength=n_rows) if n_rows else np.zeros(0, dtype=np.int64)
        return Sequences(_offsets(counts), np.ascontiguousarray(items, dtype=np.int32), **named)


def _offsets(lengths: npt.NDArray[np.integer]) -> Ints:
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
