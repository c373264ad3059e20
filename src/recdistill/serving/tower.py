"""The text tower: from a text to the vector that an item with this text would have, in microseconds.

Every word that the catalogue knows has a vector; the vector of a text is their mean, rare words weighing more, plus
what all items have in common. It was fitted to the vectors that the student learned and to what a text encoder or LLM
says about the items (see ``compression/tower.py``); neither is needed any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BundleError
from .catalogue import load_arrays
from .manifest import load_array
from .place import Place
from .strings import Strings
from .words import words

__all__ = ["Tower"]

Floats = npt.NDArray[np.float32]
_FILE = "tower.npz"
_VECTORS = "tower_vectors.npy"
_AT_ONCE = 64
"""Texts whose words are looked up together: so many fit into the cache."""


@dataclass(frozen=True, eq=False)
class Tower:
    """Words with a vector and a weight each.

    Attributes:
        index: Word to row.
        vectors: int8 ``[words, width]``.
        scales: float32 ``[words]``: the vector of a word is ``vectors[word] * scales[word]``.
        weights: float32 ``[words]``.
        mean: float32 ``[width]``, added to every text.
    """

    index: dict[str, int]
    vectors: npt.NDArray[np.int8]
    scales: Floats
    weights: Floats
    mean: Floats

    @classmethod
    def open(cls, place: Place) -> Tower | None:
        """The tower of a bundle, or None if it has none.

        Raises:
            BundleError: Its files are broken.
        """
        if _FILE not in place.sizes:
            return None
        arrays = load_arrays(place, _FILE)
        try:
            known = Strings.read(arrays, "word")
            scales, weights, mean = (arrays[name].astype(np.float32) for name in ("scales", "weights", "mean"))
            if not len(scales) == len(weights) == len(known) or mean.ndim != 1:
                raise ValueError(f"{len(known)} words with {len(scales)} scales and {len(weights)} weights")
            index = {word: row for row, word in enumerate(known)}
        except (KeyError, ValueError, UnicodeDecodeError) as error:
            where = place.where(_FILE)
            raise BundleError(f"cannot be read ({error})", where=where, hint="write the bundle again") from None
        return cls(index, load_array(place, _VECTORS, (len(known), len(mean)), np.int8), scales, weights, mean)

    def files(self) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[np.int8]]:
        """What :meth:`open` reads: the arrays of ``tower.npz``, and ``tower_vectors.npy``."""
        arrays = Strings.pack(self.index).arrays("word")
        numbers: dict[str, npt.NDArray[Any]] = {"weights": self.weights, "scales": self.scales, "mean": self.mean}
        return arrays | numbers, self.vectors

    def knows(self, text: str) -> bool:
        """Whether a word of the text has a vector."""
        return any(word in self.index for word in words(text))

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of some texts: float32 ``[n, width]``; a text without a known word gets the mean of all items."""
        out = np.tile(self.mean, (len(texts), 1))
        for start in range(0, len(texts), _AT_ONCE):
            self._add(texts[start : start + _AT_ONCE], out[start : start + _AT_ONCE])
        return out

    def _add(self, texts: Sequence[str], out: Floats) -> None:
        """Add the weighted mean of its words' vectors to the row of each text that has some."""
        at = self.index.get
        found = [[row for word in words(text) if (row := at(word)) is not None] for text in texts]
        lengths = np.array([len(rows) for rows in found], dtype=np.int64)
        flat = np.fromiter(chain.from_iterable(found), dtype=np.int64, count=int(lengths.sum()))
        if not len(flat):
            return
        weights = self.weights[flat]
        held = np.flatnonzero(lengths)
        starts = np.concatenate([[0], np.cumsum(lengths)])[held]
        weighted = self.vectors[flat] * (self.scales[flat] * weights)[:, None]
        out[held] += np.add.reduceat(weighted, starts) / np.add.reduceat(weights, starts)[:, None]
