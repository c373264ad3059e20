"""Contexts of training positions: prefixes for any model, overlapping windows for those that score every place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..data.sequences import Sequences

__all__ = ["Windows", "overlapping_windows", "prefixes"]

Ints = npt.NDArray[np.int64]


def prefixes(train: Sequences, positions: Ints, longest: int | None = None) -> Sequences:
    """The events before each position in its row, the newest ``longest`` of them.

    Args:
        train: Training events.
        positions: int64 ``[n]``, events or ends of rows.
        longest: Events at most; None for all.

    Returns:
        One row per position.
    """
    whole = train.take(train.row_of_position(positions))
    place = np.arange(whole.n_events) - np.repeat(whole.offsets[:-1], whole.lengths)
    before = whole.keep(place < np.repeat(train.events_before(positions), whole.lengths))
    return before if longest is None else before.last(longest)


@dataclass(frozen=True, slots=True)
class Windows:
    """Stretches of training rows, and the places in them that are to be scored.

    Attributes:
        rows: int64 ``[n]``, the row of each window.
        starts: int64 ``[n]``, index of its first event.
        lengths: int64 ``[n]``, events in it.
        skips: int64 ``[n]``, places at its beginning that an earlier window has scored with more context.
    """

    rows: Ints
    starts: Ints
    lengths: Ints
    skips: Ints

    def take(self, which: Ints) -> Windows:
        """Some of the windows."""
        return Windows(self.rows[which], self.starts[which], self.lengths[which], self.skips[which])

    def places(self, train: Sequences) -> tuple[Ints, Ints, Ints]:
        """Every place to be scored: number of its window, column in it, and the position that follows."""
        counts = self.lengths - self.skips
        window = np.repeat(np.arange(len(counts)), counts)
        column = np.arange(len(window)) - np.repeat(np.cumsum(counts) - counts, counts) + self.skips[window]
        row, following = self.rows[window], self.starts[window] + column + 1
        return window, column, np.where(following == train.offsets[row + 1], train.n_events + row, following)

    def inputs(self, train: Sequences, pad: int) -> Ints:
        """Left-aligned items: int64 ``[n, longest]``, filled with ``pad``."""
        width = int(self.lengths.max(initial=1))
        real = np.arange(width) < self.lengths[:, None]
        out = np.full(real.shape, pad, dtype=np.int64)
        out[real] = train.items[(self.starts[:, None] + np.arange(width))[real]]
        return out


def overlapping_windows(train: Sequences, length: int) -> Windows:
    """Windows in which every event but a row's first, and the end of every row, follows exactly one scored place.

    Each scored place sees all of its history, or at least half of ``length`` events of it.

    Args:
        train: Training events.
        length: Events in a window at most.
    """
    inputs = train.lengths
    step = (length + 1) // 2
    counts = np.where(inputs > 0, 1 + -(-np.maximum(inputs - length, 0) // step), 0)
    rows = np.repeat(np.arange(len(train)), counts)
    number = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    lengths = np.minimum(length, inputs[rows] - number * step)
    skips = np.where(number > 0, length - step, 0)
    return Windows(rows, train.offsets[rows] + number * step, lengths, skips)
