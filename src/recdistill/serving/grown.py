"""A table to whose end vectors were added while it was served."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .tables import DenseTable, Floats, Found, Indices, Table, Wanted

__all__ = ["GrownTable"]


class GrownTable(Table):
    """A table and some vectors behind it.

    Args:
        table: The vectors that were there.
        n: How many these are.
        more: float32 ``[m, dim]``, those that came.
    """

    def __init__(self, table: Table, n: int, more: Floats) -> None:
        self._first, self._n, self._more = table, n, DenseTable(more)

    @classmethod
    def grow(cls, table: Table, n: int, vector: Floats) -> GrownTable:
        """A table of ``n`` vectors with one more."""
        if isinstance(table, GrownTable):
            return cls(table._first, table._n, np.concatenate([table._more.vectors, vector[None]]))
        return cls(table, n, vector[None])

    def rows(self, items: npt.NDArray[np.integer[Any]]) -> Floats:
        new = items >= self._n
        rows = self._first.rows(np.where(new, 0, items))
        if new.any():
            rows[new] = self._more.vectors[items[new] - self._n]
        return rows

    def scores(self, query: Floats) -> Floats:
        return np.concatenate([self._first.scores(query), self._more.scores(query)])

    def batch(self, queries: Floats) -> Floats:
        return np.concatenate([self._first.batch(queries), self._more.batch(queries)], axis=1)

    def cosines(self, query: Floats) -> Floats:
        return np.concatenate([self._first.cosines(query), self._more.cosines(query)])

    def best(self, query: Floats, wanted: Wanted, bias: Floats | None = None) -> Found:
        first, second = self._parts(wanted)
        biases = (None, None) if bias is None else (bias[: self._n], bias[self._n :])
        return self._joined(
            self._first.best(query, first, biases[0]), self._more.best(query, second, biases[1]), wanted.n
        )

    def nearest(self, query: Floats, wanted: Wanted) -> Found:
        first, second = self._parts(wanted)
        return self._joined(self._first.nearest(query, first), self._more.nearest(query, second), wanted.n)

    def _parts(self, wanted: Wanted) -> tuple[Wanted, Wanted]:
        n, allowed, hidden = self._n, wanted.allowed, wanted.hidden
        old, new = (None, None) if allowed is None else (allowed[:n], allowed[n:])
        if hidden is None:
            return Wanted(wanted.n, old), Wanted(wanted.n, new)
        return Wanted(wanted.n, old, hidden[hidden < n]), Wanted(wanted.n, new, hidden[hidden >= n] - n)

    def _joined(self, first: Found, second: Found, n: int) -> Found:
        items: Indices = np.concatenate([first[0], second[0] + self._n])
        scores = np.concatenate([first[1], second[1]])
        order = (-scores).argsort(kind="stable")[:n]
        return items[order], scores[order]
