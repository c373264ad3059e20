"""Search by text over titles and categories: BM25 on an index that is made when it is first asked."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from .words import words

__all__ = ["TextIndex"]

Floats = npt.NDArray[np.float32]
_K1, _B = 1.2, 0.5
"""Of BM25; titles differ little in length, so length counts less than the usual 0.75."""
_PREFIX = 0.7
"""What an unfinished last word counts, beside a whole one."""
_MOST_WORDS = 32
_BEHIND = chr(0x10FFFF)


class TextIndex:
    """Which words stand in which items.

    The score is BM25 (Robertson and Zaragoza 2009, https://doi.org/10.1561/1500000019). The last word of a question
    also finds the words that begin with it, so that results come while somebody types.

    Args:
        texts: What is found, one text for each item.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        codes: dict[str, int] = {}
        flat: list[int] = []
        lengths: list[int] = []
        for text in texts:
            found = [codes.setdefault(word, len(codes)) for word in words(text)]
            flat += found
            lengths.append(len(found))
        order = sorted(codes)
        self._words = order  # in alphabetical order, so that those with one beginning lie together
        self.n_items = len(lengths)
        place = np.zeros(len(codes), dtype=np.int64)
        place[[codes[word] for word in order]] = np.arange(len(order))
        item = np.repeat(np.arange(len(lengths)), lengths)
        pairs, counts = np.unique(place[flat] * max(self.n_items, 1) + item, return_counts=True)
        word, self._items = np.divmod(pairs, max(self.n_items, 1))
        self._starts = np.searchsorted(word, np.arange(len(order) + 1))
        relative = np.array(lengths, dtype=np.float64) / max(float(np.mean(lengths)) if lengths else 0.0, 1e-9)
        norm = _K1 * (1 - _B + _B * relative)[self._items]
        held = np.diff(self._starts)
        rarity = np.log1p((self.n_items - held + 0.5) / (held + 0.5))
        self._weights = (rarity[word] * counts * (_K1 + 1) / (counts + norm)).astype(np.float32)

    def scores(self, text: str) -> Floats:
        """How well each item fits: float32 ``[n_items]``, 0 where no word does."""
        total = np.zeros(self.n_items, dtype=np.float32)
        asked = words(text)[:_MOST_WORDS]
        for word in asked:
            total += self._holding(word)
        if asked:
            begun, whole = self._holding(asked[-1], prefix=True), self._holding(asked[-1])
            total += np.maximum(_PREFIX * begun - whole, 0)
        return total

    def _holding(self, word: str, prefix: bool = False) -> Floats:
        """The weight of a word in each item, or the largest weight of the words that begin with it."""
        first = bisect_left(self._words, word)
        last = bisect_left(self._words, word + _BEHIND) if prefix else bisect_right(self._words, word)
        part = slice(self._starts[first], self._starts[last])
        out = np.zeros(self.n_items, dtype=np.float32)
        np.maximum.at(out, self._items[part], self._weights[part])
        return out
