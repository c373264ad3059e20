"""Approximate search in very large catalogues, by usearch; its recall was measured when the bundle was written.

An item with the highest product is not the nearest one while vectors differ in length. Two more numbers make it so:
the bias, and what is missing to the length of the longest (Bachrach et al. 2014,
https://doi.org/10.1145/2645710.2645741). The candidates that the graph finds are scored again exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BundleError
from ..registry import need
from .manifest import Manifest
from .place import Place
from .tables import Floats, Found, Table, Wanted

__all__ = ["Graph", "SearchedTable", "lifted"]

_FILE = "graph.usearch"
_MORE = 4
"""Candidates for each item that is wanted: the graph orders them by rounded numbers."""
_MOST = 200
"""Lists that are longer are made exactly."""


def lifted(vectors: Floats, bias: Floats | None, longest: float | None = None) -> Floats:
    """Vectors of one length whose cosine with a query is in the order of ``query · v + bias``.

    Args:
        vectors: float32 ``[n, dim]``.
        bias: float32 ``[n]``.
        longest: Length that all get; that of the longest if None.

    Returns:
        float32 ``[n, dim + 2]``.
    """
    last: Floats = np.zeros(len(vectors), np.float32) if bias is None else bias
    whole = np.concatenate([vectors, last[:, None]], axis=1)
    squares = np.square(whole).sum(axis=1)
    most = float(squares.max(initial=0.0)) if longest is None else longest**2
    missing = np.sqrt(np.maximum(most - squares, 0))
    out: Floats = (np.concatenate([whole, missing[:, None]], axis=1) / max(most, 1e-30) ** 0.5).astype(np.float32)
    return out


class Graph:
    """A graph of neighbours.

    Args:
        index: A usearch index over :func:`lifted` vectors.
        bias: Whether they have one.
        mapped: The file that it is in.
    """

    def __init__(self, index: Any, bias: bool, mapped: memoryview | None = None) -> None:
        self._index, self._one = index, np.float32(bias)
        self._mapped = mapped  # the library reads it, but does not keep it

    @classmethod
    def build(cls, vectors: Floats, bias: Floats | None, threads: int = 0) -> Graph:
        """Link all vectors; takes minutes for a million.

        Raises:
            MissingExtraError: usearch is not installed.
        """
        library = need("usearch.index", "ann")
        ready = lifted(vectors, bias)
        index = library.Index(ndim=ready.shape[1], metric="ip", dtype="bf16", connectivity=16, expansion_add=128)
        index.add(np.arange(len(ready)), ready, threads=threads)
        return cls(index, bias is not None)

    @classmethod
    def open(cls, place: Place, manifest: Manifest) -> Graph | None:
        """The graph of a bundle, mapped; None if it has none or usearch is not installed (then search is exact).

        Raises:
            BundleError: It cannot be read.
        """
        if _FILE not in manifest.files:
            return None
        try:
            library = need("usearch.index", "ann")
        except ImportError:
            return None
        try:
            mapped = place.read(_FILE)
            index = library.Index.restore(mapped, view=True)
            if index is None or len(index) != manifest.n_items or index.ndim != manifest.dim + 2:
                raise ValueError("it is of other vectors")
            index.expansion_search = int(manifest.checks["ann_expansion"])
        except Exception as error:  # the library's own exceptions share no base
            hint = "write the bundle again"
            raise BundleError(f"cannot be read ({error})", where=place.where(_FILE), hint=hint) from None
        return cls(index, manifest.has("bias.npy"), mapped)

    def expand(self, breadth: int) -> None:
        """Look at so many items for each search: more find more and take longer."""
        self._index.expansion_search = breadth

    def save(self) -> bytes:
        """The contents of ``graph.usearch``."""
        return bytes(self._index.save())

    def near(self, query: Floats, count: int) -> npt.NDArray[np.int64]:
        """Items with a high product with float32 ``[dim]``: int64 ``[at most count]``, ascending."""
        ready = np.concatenate([query, [self._one, np.float32(0)]]).astype(np.float32)
        ready /= max(float(np.linalg.norm(ready)), 1e-30)
        return np.sort(self._index.search(ready, count, threads=1).keys.astype(np.int64))


class SearchedTable(Table):
    """A table with a graph for short lists without a filter; everything else is exact.

    Args:
        table: The vectors.
        graph: Over the same.
        n: How many there are.
    """

    def __init__(self, table: Table, graph: Graph, n: int) -> None:
        self._table, self._graph, self._n = table, graph, n

    def rows(self, items: npt.NDArray[np.integer[Any]]) -> Floats:
        return self._table.rows(items)

    def scores(self, query: Floats) -> Floats:
        return self._table.scores(query)

    def batch(self, queries: Floats) -> Floats:
        return self._table.batch(queries)

    def cosines(self, query: Floats) -> Floats:
        return self._table.cosines(query)

    def nearest(self, query: Floats, wanted: Wanted) -> Found:
        return self._table.nearest(query, wanted)

    def best(self, query: Floats, wanted: Wanted, bias: Floats | None = None) -> Found:
        hidden = () if wanted.hidden is None else wanted.hidden
        count = _MORE * wanted.n + len(hidden)
        if wanted.allowed is not None or not 0 < count <= min(_MOST, self._n):
            return self._table.best(query, wanted, bias)
        at = self._graph.near(query, count)
        at = at[~np.isin(at, hidden)]
        scores = self.rows(at) @ query
        if bias is not None:
            scores += bias[at]
        order = (-scores).argsort(kind="stable")[: wanted.n]
        return at[order], scores[order]
