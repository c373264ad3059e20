"""Item vectors in memory: unpacked numbers, or the codes of a product quantiser that look-up tables score.

Files of a table, each with a prefix for tables beside the main one (``seen_``)::

    vectors.npy     int8, float16 or float32 [n_items, dim]; or uint8 [n_items, (dim + 1) // 2], two numbers of 4 bits
    scales.npy      float32 [n_items]: row r stands for vectors[r] * scales[r]          (8 and 4 bits)
    codes.npy       uint8 [n_items, parts]                                              (product quantisation)
    codebooks.npy   float16 or float32 [parts, at most 256, dim / parts]: part p of item i is codebooks[p, codes[i, p]]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BundleError
from .manifest import Manifest, load_array
from .place import Place

__all__ = ["CodedTable", "DenseTable", "Table", "load_matrix", "load_table", "nibbles"]

Floats = npt.NDArray[np.float32]
_UNPACKED = 16 << 20
"""Bytes of float32 up to which a coded table is unpacked: there a product through BLAS is faster than look-ups."""
_ROWS = 4096


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
    def similar(self, item: int) -> Floats:
        """Cosine of every item with one of them: float32 ``[n_items]``."""


class DenseTable(Table):
    """Vectors as they are multiplied.

    Args:
        vectors: float32 ``[n_items, dim]``.
    """

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors
        self._unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))

    def rows(self, items: npt.NDArray[np.integer[Any]]) -> Floats:
        rows: Floats = self.vectors[items]
        return rows

    def scores(self, query: Floats) -> Floats:
        scores: Floats = self.vectors @ query
        return scores

    def batch(self, queries: Floats) -> Floats:
        return queries @ self.vectors.T

    def similar(self, item: int) -> Floats:
        return self._unit @ self._unit[item]  # type: ignore[no-any-return]


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
        self._norms = np.sqrt(self._looked_up(np.square(codebooks).sum(axis=2)))

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

    def similar(self, item: int) -> Floats:
        lengths = np.maximum(self._norms * self._norms[item], np.float32(1e-12))
        cosine: Floats = self.scores(self.rows(np.array(item))) / lengths
        return cosine

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
    if f"{prefix}codes.npy" in manifest.files:
        return _load_codes(place, manifest, prefix, unpacked)
    return DenseTable(load_matrix(place, manifest, f"{prefix}vectors", f"{prefix}scales", manifest.dim))


def load_matrix(place: Place, manifest: Manifest, name: str, scales: str, width: int) -> Floats:
    """A matrix with a row for each item, unpacked: float32 ``[n_items, width]``.

    A product of float32 through BLAS is faster than one of fewer bits in numpy.

    Raises:
        BundleError: Files are missing or do not fit.
    """
    n_items, file = manifest.n_items, f"{name}.npy"
    if manifest.precision == "int4":
        values: npt.NDArray[Any] = nibbles(load_array(place, file, (n_items, (width + 1) // 2), np.uint8), width)
    else:
        values = load_array(place, file, (n_items, width), np.int8, np.float16, np.float32)
    matrix: Floats = np.ascontiguousarray(values, dtype=np.float32)
    if values.dtype == np.int8:
        matrix *= load_array(place, f"{scales}.npy", (n_items,), np.float32)[:, None]
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
