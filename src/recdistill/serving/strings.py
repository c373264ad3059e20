"""Columns of text and of names as a few arrays: nothing becomes a Python object before somebody looks at it.

A column can grow at its end. It is a value all the same: growing gives a new one, which shares everything with the old.
"""

from __future__ import annotations

import copy
import zlib
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt

__all__ = ["Column", "Strings", "Tags"]

T = TypeVar("T")
K = TypeVar("K")
Arrays = Mapping[str, npt.NDArray[Any]]
Ints = npt.NDArray[np.int64]
_ENCODING = "utf-8", "surrogatepass"
_KEPT = 1 << 15
"""Values, and places of texts, that are remembered: what many ask for is made once, in a few megabytes."""


class Column(Sequence[T]):
    """Values in arrays, and behind them some that came later.

    Args:
        stored: Number of values in arrays.
    """

    def __init__(self, stored: int) -> None:
        self._n_stored = self._n = stored
        self._tail: list[T] = []
        self._kept: dict[int, T] = {}
        """Values that were asked for, by place; shared by all versions, as the arrays are."""
        self._places: dict[T, int] = {}
        """Where a value of the tail is; shared with older and newer versions, so it may know too much."""

    @abstractmethod
    def _stored(self, place: int) -> T:
        """A value out of the arrays."""

    def grown(self, value: T) -> Self:
        """The column with one value more; only the newest version may grow."""
        grown = copy.copy(self)
        grown._tail.append(value)
        grown._places.setdefault(value, self._n)
        grown._n += 1
        assert len(grown._tail) == grown._n - grown._n_stored, "an older version has grown"
        return grown

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[T]: ...

    def __getitem__(self, at: int | slice) -> T | Sequence[T]:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(self._n))]
        place = at + self._n if at < 0 else at
        if not 0 <= place < self._n:
            raise IndexError(at)
        if place >= self._n_stored:
            return self._tail[place - self._n_stored]
        value = self._kept.get(place)
        if value is None:
            value = self._stored(place)
            _keep(self._kept, place, value)
        return value


class Strings(Column[str]):
    """Text, read-only, as one block of UTF-8.

    Args:
        block: The bytes of all of them, one behind the other.
        lengths: How many of these bytes each has: int ``[n]``.

    Raises:
        ValueError: The lengths do not add up to the block.
    """

    def __init__(self, block: bytes, lengths: npt.NDArray[np.integer[Any]]) -> None:
        super().__init__(len(lengths))
        self._block = block
        self._ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        if lengths.min(initial=0) < 0 or self._ends[-1] != len(block):
            raise ValueError(f"{len(lengths)} texts of {self._ends[-1]} bytes in a block of {len(block)}")
        self._sums: list[npt.NDArray[Any]] = []
        self._found: dict[str, int] = {}
        """Places of stored texts that were looked for; shared by all versions."""

    @classmethod
    def pack(cls, texts: Iterable[str]) -> Strings:
        """From Python strings."""
        encoded = [text.encode(*_ENCODING) for text in texts]
        return cls(b"".join(encoded), np.array([len(part) for part in encoded], dtype=np.int64))

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """As arrays ``NAME`` uint8 ``[bytes]`` and ``NAME_lengths`` uint32 ``[n]``, without the tail."""
        return {
            name: np.frombuffer(self._block, dtype=np.uint8),
            f"{name}_lengths": np.diff(self._ends).astype(np.uint32),
        }

    @classmethod
    def read(cls, arrays: Arrays, name: str) -> Strings:
        """From what :meth:`arrays` gave.

        Raises:
            KeyError: One of them is missing.
            ValueError: They do not fit.
        """
        return cls(arrays[name].tobytes(), arrays[f"{name}_lengths"])

    def find(self, texts: Sequence[str]) -> Ints:
        """The first place of each text: int64 ``[n]``, -1 where it is not there."""
        known = self._found
        found = [known.get(text, -1) for text in texts]
        new = [row for row, place in enumerate(found) if place < 0]
        if new:
            for row, place in zip(new, self._look_up([texts[row] for row in new]), strict=True):
                found[row] = place
        return np.array(found, dtype=np.int64)

    def _look_up(self, texts: Sequence[str]) -> list[int]:
        """The same, in the arrays and in the tail."""
        sums, order = self._sorted()
        wanted = [text.encode(*_ENCODING) for text in texts]
        keys = np.fromiter(map(zlib.crc32, wanted), dtype=np.uint32, count=len(wanted))
        first, last = sums.searchsorted(keys).tolist(), sums.searchsorted(keys, side="right").tolist()
        found = []
        for text, sought, begin, end in zip(texts, wanted, first, last, strict=True):
            for place in order[begin:end].tolist():  # one, but for texts of equal checksum
                if self._bytes(place) == sought:
                    _keep(self._found, text, place)
                    break
            else:
                place = self._places.get(text, self._n)
            found.append(place if place < self._n else -1)
        return found

    def _stored(self, place: int) -> str:
        return self._bytes(place).decode(*_ENCODING)

    def _bytes(self, place: int) -> bytes:
        return self._block[self._ends[place] : self._ends[place + 1]]

    def _sorted(self) -> list[npt.NDArray[Any]]:
        """Checksums in order, and the place each belongs to: a tenth of the memory of a dictionary."""
        if not self._sums:
            parts = (self._block[start:stop] for start, stop in pairwise(self._ends.tolist()))
            sums = np.fromiter(map(zlib.crc32, parts), dtype=np.uint32, count=self._n_stored)
            order = np.argsort(sums, kind="stable")
            self._sums[:] = [sums[order], order]  # all at once, and for every version
        return self._sums


class Tags(Column[tuple[str, ...]]):
    """Zero or more names for each row, as codes.

    Args:
        names: All different names.
        codes: int ``[m]``, indices into ``names``, row after row.
        counts: int ``[n]``, how many of them belong to each row.

    Raises:
        ValueError: The counts do not add up, or a code stands for no name.
    """

    def __init__(
        self, names: Sequence[str], codes: npt.NDArray[np.integer[Any]], counts: npt.NDArray[np.integer[Any]]
    ) -> None:
        super().__init__(len(counts))
        self._names, self._codes = names, codes
        self._ends = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        if counts.min(initial=0) < 0 or self._ends[-1] != len(codes):
            raise ValueError(f"{len(codes)} names for {len(counts)} rows that hold {self._ends[-1]}")
        if len(codes) and not 0 <= codes.min() <= codes.max() < len(names):
            raise ValueError("a code stands for no name")

    @classmethod
    def pack(cls, rows: Iterable[Iterable[str]]) -> Tags:
        """From Python strings."""
        lists = [list(row) for row in rows]
        index = {name: code for code, name in enumerate(dict.fromkeys(name for row in lists for name in row))}
        codes = np.array([index[name] for row in lists for name in row], dtype=np.int64)
        return cls(list(index), codes, np.array([len(row) for row in lists], dtype=np.int64))

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """As arrays whose names begin with ``NAME``, without the tail."""
        small = np.uint16 if len(self._names) <= np.iinfo(np.uint16).max else np.uint32
        codes = {f"{name}_codes": self._codes.astype(small), f"{name}_counts": np.diff(self._ends).astype(np.uint32)}
        return codes | Strings.pack(self._names).arrays(f"{name}_names")

    @classmethod
    def read(cls, arrays: Arrays, name: str) -> Tags:
        """From what :meth:`arrays` gave.

        Raises:
            KeyError: One of them is missing.
            ValueError: They do not fit.
        """
        names = list(Strings.read(arrays, f"{name}_names"))
        return cls(names, arrays[f"{name}_codes"].astype(np.int64), arrays[f"{name}_counts"])

    @property
    def names(self) -> frozenset[str]:
        """All different names."""
        tail = self._tail[: self._n - self._n_stored]
        return frozenset(self._names).union(*tail)

    def any_of(self, names: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Rows that have one of these names: bool ``[n]``."""
        asked = set(names)
        wanted = np.array([name in asked for name in self._names], dtype=np.bool_)
        hits = np.concatenate([[0], np.cumsum(wanted[self._codes])])
        tail = [not asked.isdisjoint(row) for row in self._tail[: self._n - self._n_stored]]
        return np.concatenate([hits[self._ends[1:]] > hits[self._ends[:-1]], np.array(tail, dtype=np.bool_)])

    def _stored(self, place: int) -> tuple[str, ...]:
        return tuple(self._names[code] for code in self._codes[self._ends[place] : self._ends[place + 1]].tolist())


def _keep(known: dict[K, T], key: K, value: T) -> None:
    """Remember something; a memory that is full begins anew."""
    if len(known) >= _KEPT:
        known.clear()
    known[key] = value
