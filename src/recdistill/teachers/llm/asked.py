"""Contexts as a language model is shown them: what came before, and nothing of what follows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...data.dataset import Contexts
from ...data.sequences import Sequences
from ..windows import prefixes
from .candidates.base import Candidates, Ints, Items, blocks

__all__ = ["Asked", "asked_at", "draw", "without_targets"]

_BLOCK = 4096
"""Contexts whose candidates are drawn together."""


class Asked:
    """Contexts without what follows them, as a job sees them.

    Attributes:
        positions: int64 ``[n]``, training positions, or -1.
        users: int32 ``[n]``.
        history: The newest events before each.
    """

    def __init__(self, positions: Ints, users: npt.NDArray[np.int32], history: Sequences) -> None:
        self.positions, self.users, self.history = positions, users, history

    def take(self, rows: Ints) -> Asked:
        """Some of them."""
        return Asked(self.positions[rows], self.users[rows], self.history.take(rows))

    def __len__(self) -> int:
        return len(self.positions)


def asked_at(train: Sequences, positions: Ints, history: int | None) -> Asked:
    """The contexts of some training positions: the events before each, and nothing else.

    Args:
        train: Training events.
        positions: int64 ``[n]``.
        history: Newest events at most; None for all.
    """
    rows = train.row_of_position(positions).astype(np.int32)
    return Asked(positions, rows, prefixes(train, positions, history))


def draw(generator: Candidates, train: Sequences, positions: Ints, seed: int, n: int) -> Items:
    """Candidates for training positions, drawn from what is before them: int32 ``[positions, n]``."""
    out = np.full((len(positions), n), -1, dtype=np.int32)
    for part in blocks(len(positions), _BLOCK):
        some = asked_at(train, positions[part], None)
        out[part] = generator.draw(without_targets(some), some.positions, seed)
    return out


def without_targets(asked: Asked) -> Contexts:
    """Contexts whose targets are empty."""
    none = Sequences(np.zeros(len(asked) + 1, dtype=np.int64), asked.history.items[:0])
    return Contexts(asked.users, asked.history, none)
