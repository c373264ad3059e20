"""Item vectors in memory: unpacked numbers, or the codes of a product quantiser that look-up tables score.

Files of a table, each with a prefix for tables beside the main one (``seen_``)::

    vectors.npy     int8, float16 or float32 [n_items, dim]; or uint8 [n_items, (dim + 1) // 2], two numbers of 4 bits
    scales.npy      float32 [n_items]: row r stands for vectors[r] * scales[r]          (8 and 4 bits)
    codes.npy       uint8 [n_items, parts]                                              (product quantisation)
    codebooks.npy   float16 or float32 [parts, at most 256, dim / parts]: part p of item i is codebooks[p, codes[i, p]]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BundleError
from .manifest import Manifest, load_array
from .place import Place
from .scan import Scan
from .topk import floor_of, top_k

__all__ = [
    "CodedTable",
    "DenseTable",
    "Found",
    "ScannedTable",
    "Table",
    "Wanted",
    "load_matrix",
    "load_table",
    "nibbles",
]

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Found = tuple[Indices, Floats]
_UNPACKED = 16 << 20
"""Bytes of float32 up to which a coded table is unpacked: there a product through BLAS is faster than look-ups."""
_SCANNED = 4 << 20
"""Bytes of float32 beyond which a table is scanned in int8: what fits into the cache is as fast through BLAS."""
_ROWS = 4096
_FEW = 16
"""A filter that leaves less than one item in so many is answered from their vectors alone."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which items may come into a list, and how many.

    Attributes:
        n: How many, at most.
        allowed: bool ``[n_items]``, or None for all.
        hidden: int64 ``[any]``, items that must not come.
    """

    n: int
    allowed: npt.NDArray[np.bool_] | None = None
    hidden: Indices | None = None

    def best(self, scores: Floats) -> Found:
        """The best of float32 ``[n_items]``, which is changed."""
        self.mask(scores)
        best = top_k(scores, self.n)
        return best, scores[best]

    def mask(self, scores: Floats) -> None:
        """-inf for what must not come."""
        if self.allowed is not None:
            scores[~self.allowed] = -np.inf
        if self.hidden is not None:
            scores[self.hidden] = -np.inf

    def few(self, n_items: int) -> Indices | None:
        """The items that may come, if they are few: int64 ``[any]``, ascending."""
        if self.allowed is None or np.count_nonzero(self.allowed) * _FEW > n_items:
            return None
        left = self.allowed.copy()
        if self.hidden is not None:
            left[self.hidden] = False
        return np.flatnonzero(left)


class Table(ABC):
    """Vectors of all items, and their products with a query."""

    @abstractmethod
    def rows(self, items: npt.NDArray[np.integer[Any]]) -> Floats:
        """Vectors of some items: float32 ``[..., dim]`` from int ``[...]``."""

    @abstractmethod
    def scores(self, query: Floats) -> Floats:
        """Dot product of every item with float32 ``[dim]``: a new array float32 ``[n_items]``."""

    @abstractmethod
    def batch(self, queries: Floats) -> Floats:
        """The same for float32 ``[n, dim]``: float32 ``[n, n_items]``."""

    @abstractmethod
    def cosines(self, query: Floats) -> Floats:
        """Cosine of every item with float32 ``[dim]``: a new array float32 ``[n_items]``, 0 for a vector of zeros."""

    def best(self, query: Floats, wanted: Wanted, bias: Floats | None = None) -> Found:
        """The items with the highest product (plus bias) and these numbers, best first; exact.

        Args:
            query: float32 ``[dim]``.
            wanted: Which items may come.
            bias: float32 ``[n_items]``, added to the products.
        """
        scores = self.scores(query)
        if bias is not None:
            scores += bias
        return wanted.best(scores)

    def best_each(self, queries: Floats, wanted: Sequence[Wanted], bias: Floats | None = None) -> list[Found]:
        """The same for each of float32 ``[n, dim]``."""
        return [self.best(query, one, bias) for query, one in zip(queries, wanted, strict=True)]

    def nearest(self, query: Floats, wanted: Wanted) -> Found:
        """The items with the highest cosine with float32 ``[dim]``, and these."""
        return wanted.best(self.cosines(query))


class DenseTable(Table):
    """Vectors as they are multiplied.

    Args:
        vectors: float32 ``[n_items, dim]``.
    """

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors
        # once more, a dimension in each row: BLAS multiplies a few queries with it in half the time
        self._across = np.ascontiguousarray(vectors.T)
        self._inverse = _inverse(np.linalg.norm(vectors, axis=1))

    def rows(self, items: npt.NDArray[np.integer[Any]]) -> Floats:
        rows: Floats = self.vectors[items]
        return rows

    def scores(self, query: Floats) -> Floats:
        scores: Floats = query @ self._across
        return scores

    def batch(self, queries: Floats) -> Floats:
        return queries @ self._across

    def best_each(self, queries: Floats, wanted: Sequence[Wanted], bias: Floats | None = None) -> list[Found]:
        scores = self.batch(queries)  # one product of matrices: what is in the cache is used for every query
        if bias is not None:
            scores += bias
        return [one.best(row) for one, row in zip(wanted, scores, strict=True)]

    def cosines(self, query: Floats) -> Floats:
        return self.scores(_unit(query)) * self._inverse


class ScannedTable(Table):
    """Many vectors, searched in int8 and scored as they are stored.

    Args:
        stored: int8, float16 or float32 ``[n_items, dim]``.
        scales: float32 ``[n_items]`` for int8.
    """

    def __init__(self, stored: npt.NDArray[Any], scales: Floats | None) -> None:
        self._stored, self._scales = stored, scales
        codes, steps, apart, lengths = _rounded(stored) if scales is None else (stored, scales, None, None)
        if lengths is None:
            lengths = np.sqrt(np.einsum("rd,rd->r", codes, codes, dtype=np.float32)) * steps
        self._scan = Scan(codes, steps, float(lengths.max(initial=0.0)), 0.0 if apart is None else float(apart.max()))
        self._inverse = _inverse(lengths)
        self._apart = apart

    def rows(self, items: npt.NDArray[np.integer[Any]]) -> Floats:
        rows: Floats = self._stored[items].astype(np.float32)
        if self._scales is not None:
            rows *= self._scales[items][..., None]
        return rows

    def scores(self, query: Floats) -> Floats:
        scores: Floats = self.batch(query[None])[0]
        return scores

    def batch(self, queries: Floats) -> Floats:
        out = np.empty((len(queries), len(self._stored)), dtype=np.float32)
        for start in range(0, len(self._stored), _ROWS):
            part = np.arange(start, min(start + _ROWS, len(self._stored)))
            out[:, part] = queries @ self.rows(part).T
        return out

    def cosines(self, query: Floats) -> Floats:
        return self.scores(_unit(query)) * self._inverse

    def best(self, query: Floats, wanted: Wanted, bias: Floats | None = None) -> Found:
        at = wanted.few(len(self._stored))
        if at is None:
            near = self._scan.near(query)
            if bias is not None:
                near += bias
            wanted.mask(near)
            at = _reaching(near, floor_of(near, wanted.n) - 2 * self._scan.error(query))
        scores = self.rows(at) @ query
        return _sorted(at, scores if bias is None else scores + bias[at], wanted.n)

    def nearest(self, query: Floats, wanted: Wanted) -> Found:
        query = _unit(query)
        at = wanted.few(len(self._stored))
        if at is None:
            near = self._scan.near(query) * self._inverse
            wanted.mask(near)
            error: Any = self._scan.rounding(query)
            if self._apart is not None:  # one that is short beside its rounding may be like anything
                error = error + (1 + error) * self._apart * self._inverse
            at = _reaching(near + error, floor_of(near - error, wanted.n))
        return _sorted(at, (self.rows(at) @ query) * self._inverse[at], wanted.n)


def _reaching(scores: Floats, floor: np.floating[Any]) -> Indices:
    return (scores >= floor if floor > -np.inf else scores > floor).nonzero()[0]


def _sorted(at: Indices, scores: Floats, n: int) -> Found:
    order = (-scores).argsort(kind="stable")[:n]
    return at[order], scores[order]


def _unit(query: Floats) -> Floats:
    unit: Floats = query / max(float(np.linalg.norm(query)), 1e-30)
    return unit


def _inverse(lengths: Floats) -> Floats:
    """One over the length of each vector, 0 for a vector of zeros."""
    inverse: Floats = np.where(lengths > 0, 1 / np.maximum(lengths, np.float32(1e-30)), 0).astype(np.float32)
    return inverse


def _rounded(stored: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int8], Floats, Floats, Floats]:
    """Vectors in int8, the scale of each, how far each is moved by that, and its length; a few rows at a time."""
    n = len(stored)
    codes = np.empty(stored.shape, dtype=np.int8)
    scales, apart, lengths = (np.empty(n, dtype=np.float32) for _ in range(3))
    for start in range(0, n, _ROWS):
        part = slice(start, min(start + _ROWS, n))
        rows = stored[part].astype(np.float32)
        scales[part] = np.abs(rows).max(axis=1, initial=0.0) / 127
        codes[part] = np.rint(rows / np.maximum(scales[part], np.float32(1e-30))[:, None])
        apart[part] = np.linalg.norm(rows - codes[part] * scales[part][:, None], axis=1)
        lengths[part] = np.linalg.norm(rows, axis=1)
    return codes, scales, apart, lengths


class CodedTable(Table):
    """A product quantiser (Jégou et al. 2011, https://doi.org/10.1109/TPAMI.2010.57) that is never unpacked as a whole.

    A query is multiplied with every codeword once; the score of an item is the sum of one of these products for each
    part. So an item costs one byte of memory traffic for each part, instead of four for each dimension.

    Args:
        codes: uint8 ``[n_items, parts]``.
        codebooks: float32 ``[parts, words, width]``.
    """

    def __init__(self, codes: npt.NDArray[np.uint8], codebooks: Floats) -> None:
        self._codes, self._codebooks = np.ascontiguousarray(codes.T), codebooks
        self._inverse = _inverse(np.sqrt(self._looked_up(np.square(codebooks).sum(axis=2))))

    def rows(self, items: npt.NDArray[np.integer[Any]]) -> Floats:
        codes = self._codes[:, items]  # [parts, ...]
        parts = np.arange(len(codes)).reshape(-1, *(1 for _ in codes.shape[1:]))
        return np.moveaxis(self._codebooks[parts, codes], 0, -2).reshape(*codes.shape[1:], -1)

    def scores(self, query: Floats) -> Floats:
        parts, _, width = self._codebooks.shape
        return self._looked_up((self._codebooks @ query.reshape(parts, width, 1))[..., 0])

    def batch(self, queries: Floats) -> Floats:
        n_items = self._codes.shape[1]
        out = np.empty((len(queries), n_items), dtype=np.float32)
        for start in range(0, n_items, _ROWS):
            part = np.arange(start, min(start + _ROWS, n_items))
            out[:, part] = queries @ self.rows(part).T
        return out

    def cosines(self, query: Floats) -> Floats:
        return self.scores(_unit(query)) * self._inverse

    def _looked_up(self, values: Floats) -> Floats:
        """Sum over the parts of ``values[part, code]``: float32 ``[n_items]`` from ``[parts, words]``."""
        total: Floats = values[0].take(self._codes[0])
        for part in range(1, len(values)):
            total += values[part].take(self._codes[part])
        return total


def load_table(place: Place, manifest: Manifest, prefix: str = "", unpacked: int = _UNPACKED) -> Table:
    """Read the table of a bundle, in whichever form it is.

    Args:
        place: The bundle.
        manifest: Its manifest.
        prefix: Of the names of its files.
        unpacked: Largest size, in bytes of float32, at which codes are unpacked.

    Raises:
        BundleError: Files do not fit each other.
    """
    if manifest.has(f"{prefix}codes.npy"):
        return _load_codes(place, manifest, prefix, unpacked)
    values, scales = _load_rows(place, manifest, f"{prefix}vectors", f"{prefix}scales", manifest.dim)
    if 4 * values.size > _SCANNED and find_spec("onnxruntime") is not None:
        return ScannedTable(values, scales)
    return DenseTable(_unpacked(values, scales))


def load_matrix(place: Place, manifest: Manifest, name: str, scales: str, width: int) -> Floats:
    """A matrix with a row for each item, unpacked: float32 ``[n_items, width]``.

    Raises:
        BundleError: Files are missing or do not fit.
    """
    return _unpacked(*_load_rows(place, manifest, name, scales, width))


def _load_rows(
    place: Place, manifest: Manifest, name: str, scales: str, width: int
) -> tuple[npt.NDArray[Any], Floats | None]:
    """Rows as they are stored, int4 as int8, and the scale of each where they are whole numbers."""
    n_items, file = manifest.n_items, f"{name}.npy"
    if manifest.precision == "int4":
        values: npt.NDArray[Any] = nibbles(load_array(place, file, (n_items, (width + 1) // 2), np.uint8), width)
    else:
        values = load_array(place, file, (n_items, width), np.int8, np.float16, np.float32)
    if values.dtype != np.int8:
        return values, None
    return values, load_array(place, f"{scales}.npy", (n_items,), np.float32)


def _unpacked(values: npt.NDArray[Any], scales: Floats | None) -> Floats:
    matrix: Floats = np.ascontiguousarray(values, dtype=np.float32)
    if scales is not None:
        matrix *= scales[:, None]
    return matrix


def nibbles(stored: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.int8]:
    """Numbers of 4 bits, -7 to 7, from bytes that hold two each: int8 ``[..., width]``.

    Args:
        stored: uint8 ``[..., (width + 1) // 2]``; the number at an even place is in the lower half, each plus 8.
        width: Numbers in a row.
    """
    both = np.stack([stored & 15, stored >> 4], axis=-1).reshape(*stored.shape[:-1], 2 * stored.shape[-1])
    return both[..., :width].astype(np.int8) - np.int8(8)


def _load_codes(place: Place, manifest: Manifest, prefix: str, unpacked: int) -> Table:
    codebooks = load_array(place, f"{prefix}codebooks.npy", (-1, -1, -1), np.float16, np.float32)
    parts, words, width = codebooks.shape
    if parts * width != manifest.dim:
        raise BundleError(
            f"{parts} parts of {width} numbers are no vectors of {manifest.dim}",
            where=place.where(f"{prefix}codebooks.npy"), hint="write the bundle again",
        )  # fmt: skip
    codes = load_array(place, f"{prefix}codes.npy", (manifest.n_items, parts), np.uint8)
    if codes.size and int(codes.max()) >= words:
        raise BundleError(
            "names codewords that do not exist", where=place.where(f"{prefix}codes.npy"), hint="write the bundle again"
        )
    table = CodedTable(codes, codebooks.astype(np.float32))
    if 4 * manifest.n_items * manifest.dim > unpacked:
        return table
    return DenseTable(np.ascontiguousarray(table.rows(np.arange(manifest.n_items))))
