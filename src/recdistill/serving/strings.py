"""Columns of text and of names as a few arrays: nothing becomes a Python object before somebody looks at it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, overload

import numpy as np
import numpy.typing as npt

__all__ = ["Strings", "Tags"]

Arrays = Mapping[str, npt.NDArray[Any]]
Ints = npt.NDArray[np.int64]
_ENCODING = "utf-8", "surrogatepass"


class Strings(Sequence[str]):
    """Text, read-only, as one block of UTF-8.

    Args:
        block: The bytes of all of them, one behind the other.
        lengths: How many of these bytes each has: int ``[n]``.

    Raises:
        ValueError: The lengths do not add up to the block.
    """

    def __init__(self, block: bytes, lengths: npt.NDArray[np.integer[Any]]) -> None:
        self._block = block
        self._ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        if lengths.min(initial=0) < 0 or self._ends[-1] != len(block):
            raise ValueError(f"{len(lengths)} texts of {self._ends[-1]} bytes in a block of {len(block)}")

    @classmethod
    def pack(cls, texts: Iterable[str]) -> Strings:
        """From Python strings."""
        encoded = [text.encode(*_ENCODING) for text in texts]
        return cls(b"".join(encoded), np.array([len(part) for part in encoded], dtype=np.int64))

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """As arrays ``NAME`` uint8 ``[bytes]`` and ``NAME_lengths`` uint32 ``[n]``."""
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

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...

    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(at)
        return self._block[self._ends[place] : self._ends[place + 1]].decode(*_ENCODING)

    @cached_property
    def _sorted(self) -> tuple[npt.NDArray[np.uint32], Ints]:
        """Checksums in order, and the place each belongs to: a tenth of the memory of a dictionary."""
        ends = self._ends.tolist()
        parts = (self._block[start:stop] for start, stop in pairwise(ends))
        sums = np.fromiter(map(zlib.crc32, parts), dtype=np.uint32, count=len(self))
        order = np.argsort(sums, kind="stable")
        return sums[order], order

    def find(self, texts: Sequence[str]) -> Ints:
        """The first place of each text: int64 ``[n]``, -1 where it is not there."""
        sums, order = self._sorted
        wanted = [text.encode(*_ENCODING) for text in texts]
        keys = np.fromiter(map(zlib.crc32, wanted), dtype=np.uint32, count=len(wanted))
        first, last = np.searchsorted(sums, keys), np.searchsorted(sums, keys, side="right")
        found = np.full(len(wanted), -1, dtype=np.int64)
        for row, (text, start, stop) in enumerate(zip(wanted, first.tolist(), last.tolist(), strict=True)):
            for place in order[start:stop].tolist():  # one, but for texts of equal checksum
                if self._block[self._ends[place] : self._ends[place + 1]] == text:
                    found[row] = place
                    break
        return found


class Tags(Sequence[tuple[str, ...]]):
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
        self.names, self._codes = names, codes
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
        """As arrays whose names begin with ``NAME``."""
        small = np.uint16 if len(self.names) <= np.iinfo(np.uint16).max else np.uint32
        codes = {f"{name}_codes": self._codes.astype(small), f"{name}_counts": np.diff(self._ends).astype(np.uint32)}
        return codes | Strings.pack(self.names).arrays(f"{name}_names")

    @classmethod
    def read(cls, arrays: Arrays, name: str) -> Tags:
        """From what :meth:`arrays` gave.

        Raises:
            KeyError: One of them is missing.
            ValueError: They do not fit.
        """
        names = list(Strings.read(arrays, f"{name}_names"))
        return cls(names, arrays[f"{name}_codes"].astype(np.int64), arrays[f"{name}_counts"])

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[tuple[str, ...]]: ...

    def __getitem__(self, at: int | slice) -> tuple[str, ...] | Sequence[tuple[str, ...]]:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(at)
        return tuple(self.names[code] for code in self._codes[self._ends[place] : self._ends[place + 1]].tolist())

    def any_of(self, names: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Rows that have one of these names: bool ``[n]``."""
        wanted = np.isin(np.array(self.names, dtype=object), list(names)) if len(self.names) else np.zeros(0, bool)
        hits = np.concatenate([[0], np.cumsum(wanted[self._codes])])
        has: npt.NDArray[np.bool_] = hits[self._ends[1:]] > hits[self._ends[:-1]]
        return has
