"""Product quantisation: each part of a vector is replaced by the nearest of at most 256 codewords."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError
from .quantise import pack

__all__ = ["WORDS", "ProductCode", "check_parts", "product_code"]

Floats = npt.NDArray[np.float32]
WORDS = 256
"""Codewords of a part: as many as a byte can name."""
_ROUNDS = 25
_SAMPLE = 65_536
"""Rows that the codewords are fitted to, at most."""
_AT_ONCE = 1 << 22
"""Distances that are held at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class ProductCode:
    """A matrix as codes.

    Attributes:
        codes: uint8 ``[n, parts]``.
        codebooks: float16 ``[parts, words, width / parts]``, at most 256 words.
    """

    codes: npt.NDArray[np.uint8]
    codebooks: npt.NDArray[np.float16]

    def unpack(self) -> Floats:
        """The matrix again, as float32 ``[n, width]``."""
        parts = np.arange(self.codes.shape[1])
        words: Floats = self.codebooks[parts, self.codes].astype(np.float32)  # [n, parts, width / parts]
        return words.reshape(len(self.codes), -1)


def product_code(matrix: Floats, parts: int, *, words: int = WORDS, seed: int = 0) -> ProductCode:
    """Fit codewords by k-means in each part (Jégou et al. 2011, https://doi.org/10.1109/TPAMI.2010.57) and encode.

    A part with no more different values than there are words keeps all of them: a matrix that was decoded before is
    encoded without a further error.

    Args:
        matrix: float32 ``[n, width]``, finite.
        parts: How many parts; must divide ``width``.
        words: Codewords of each part, 1 to 256.
        seed: Of the first codewords.

    Raises:
        ConfigError: ``parts`` does not divide the width.
    """
    check_parts(parts, matrix.shape[1])
    rng = np.random.default_rng(seed)
    columns = matrix.astype(np.float32).reshape(len(matrix), parts, -1)
    books = [_codewords(columns[:, part], words, rng) for part in range(parts)]
    books = [pack(book, "float16").unpack() for book in books]  # codes must fit what is stored
    codes = np.stack([_nearest(columns[:, part], books[part]) for part in range(parts)], axis=1).astype(np.uint8)
    stored = np.zeros((parts, max(map(len, books)), columns.shape[2]), dtype=np.float16)
    for part, book in enumerate(books):
        stored[part, : len(book)] = book
    return ProductCode(codes, stored)


def check_parts(parts: int, width: int) -> None:
    """Refuse a number of parts that does not divide the width.

    Raises:
        ConfigError: The numbers that do are named.
    """
    if parts < 1 or width % parts:
        fitting = ", ".join(str(n) for n in range(1, width + 1) if width % n == 0)
        raise ConfigError(
            f"{parts} parts do not divide {width} dimensions", key=("parts",), hint=f"use one of {fitting}"
        )


def _codewords(rows: Floats, words: int, rng: np.random.Generator) -> Floats:
    """float32 ``[at most words, width]``."""
    if len(rows) > _SAMPLE:
        rows = rows[rng.choice(len(rows), _SAMPLE, replace=False)]
    different = np.unique(rows, axis=0)
    if len(different) <= words:
        return different
    book = different[rng.choice(len(different), words, replace=False)]
    for _ in range(_ROUNDS):
        codes = _nearest(rows, book)
        counts = np.bincount(codes, minlength=words)
        sums = np.stack([np.bincount(codes, column, words) for column in rows.T], axis=1)
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], book).astype(np.float32)
        unused = np.flatnonzero(counts == 0)
        if len(unused):  # to the values that are served worst
            apart = np.square(rows - moved[codes]).sum(axis=1)
            moved[unused] = rows[np.argsort(-apart, kind="stable")[: len(unused)]]
        if np.array_equal(moved, book):
            break
        book = moved
    return book


def _nearest(rows: Floats, book: Floats) -> npt.NDArray[np.int64]:
    """Index of the nearest codeword of each row: int64 ``[n]``."""
    found = np.empty(len(rows), dtype=np.int64)
    lengths = np.square(book).sum(axis=1)
    step = max(1, _AT_ONCE // len(book))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        found[start : start + step] = (lengths - 2 * part @ book.T).argmin(axis=1)
    return found
