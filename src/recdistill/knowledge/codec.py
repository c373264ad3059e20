"""How rankings become fixed-size records of at most 4 bytes per (item, score) pair.

A record is six float16 numbers (lowest and highest listed log-probability, three tails, confidence), then item codes,
then scores. Item codes have 8, 16, 20, 22 or 24 bits as the catalogue needs, cut into planes of 16, 8, 4, 2 and 1 bits,
each plane stored whole. Scores are float16, or levels between the row's lowest and highest log-probability: 256,
or 64 where a catalogue of more than 4,194,303 items leaves no more room.

In bytes per pair at k = 50: 3.24 up to 65,535 items, 3.76 up to 1,048,575, 4.0 up to 16,777,215.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Codec", "ScoreType"]

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
ScoreType = Literal["uint8", "float16"]

_ITEM_BITS = (8, 16, 20, 22, 24, 31)
"""Choices that take few planes."""
_EXTRAS = 12
_LOWEST = -60_000.0
"""Just inside float16."""


@dataclass(frozen=True)
class Codec:
    """Turns lists of items and log-probabilities into records and back.

    The error of a log-probability is at most half a level, ``(highest - lowest) / (2 · (levels - 1))``, plus rounding
    of the row's ends to float16, ``2⁻¹¹ · |lowest|``; float16 scores have only the latter. Order is kept: what was not
    higher does not come back higher. Below -60,000 everything is the same.

    Args:
        k: Pairs in a record.
        n_items: Catalogue size; the code ``n_items`` stands for "none".
        scores: How log-probabilities are stored.
    """

    k: int
    n_items: int
    scores: ScoreType = "uint8"

    @property
    def item_bits(self) -> int:
        """Bits of an item code."""
        return next(bits for bits in _ITEM_BITS if self.n_items < 1 << bits)

    @property
    def score_bits(self) -> int:
        """Bits of a score."""
        if self.scores == "float16":
            return 16
        return 8 if self.item_bits <= 22 else 6

    @cached_property
    def width(self) -> int:
        """Bytes in a record, an even number."""
        total = _EXTRAS + _packed_width(self.k, self.item_bits) + _packed_width(self.k, self.score_bits)
        return total + total % 2

    def encode(self, items: Ints, logp: Floats, tail: Floats, confidence: Floats) -> Bytes:
        """Records: uint8 ``[n, width]``."""
        listed = items >= 0
        values = np.clip(np.where(listed, logp, np.inf), _LOWEST, np.inf)
        low = np.where(listed.any(1), values.min(1, initial=np.inf), 0.0).astype(np.float16)
        high = np.where(listed, values, -np.inf).max(1, initial=-np.inf)
        high = np.where(listed.any(1), high, 0.0).astype(np.float16)
        out = np.zeros((len(items), self.width), dtype=np.uint8)
        ends = np.stack([low, high], axis=1)
        tail = np.where(tail < _LOWEST, -np.inf, tail)
        out[:, :_EXTRAS].view("<f2")[:] = np.concatenate([ends, tail, confidence[:, None]], axis=1)
        at = _EXTRAS + _packed_width(self.k, self.item_bits)
        _pack(np.where(listed, items, self.n_items).astype(np.uint32), self.item_bits, out[:, _EXTRAS:at])
        _pack(self._score_codes(listed, values, ends.astype(np.float32)), self.score_bits, out[:, at:])
        return out

    def decode(self, records: Bytes) -> tuple[Ints, Floats, Floats, Floats]:
        """Items (-1 = none), log-probabilities (-inf where none), tails and confidence of some records."""
        extras = np.ascontiguousarray(records[:, :_EXTRAS]).view("<f2").astype(np.float32)
        at = _EXTRAS + _packed_width(self.k, self.item_bits)
        items = _unpack(records[:, _EXTRAS:at], self.k, self.item_bits)
        logp = self._log_probabilities(records[:, at:], extras[:, 0:1], extras[:, 1:2])
        none = items == self.n_items
        if none.any():
            items[none] = -1
            logp[none] = -np.inf
        return items, logp, extras[:, 2:5], extras[:, 5]

    def _score_codes(
        self, listed: npt.NDArray[np.bool_], values: npt.NDArray[np.floating], ends: Floats
    ) -> npt.NDArray[np.uint32]:
        if self.scores == "float16":
            return np.where(listed, values, 0.0).astype("<f2").view("<u2").astype(np.uint32)
        levels = (1 << self.score_bits) - 1
        low, span = ends[:, :1], ends[:, 1:] - ends[:, :1]
        share = (np.where(listed, values, low) - low) / np.where(span > 0, span, 1.0)
        return np.clip(np.rint(share * levels), 0, levels).astype(np.uint32)

    def _log_probabilities(self, packed: Bytes, low: Floats, high: Floats) -> Floats:
        if self.scores == "float16":
            halves = np.ascontiguousarray(packed[:, : 2 * self.k]).view("<f2")
            return halves.astype(np.float32)
        levels = np.float32((1 << self.score_bits) - 1)
        logp = _unpack(packed, self.k, self.score_bits).astype(np.float32)
        logp *= (high - low) / levels
        logp += low
        return logp


def _planes(k: int, bits: int) -> Iterator[tuple[int, int, slice]]:
    """The planes that ``bits`` are cut into, lowest first: bits in it, bits below it, its bytes in a record."""
    below, at = 0, 0
    for width in (16, 8, 4, 2, 1):
        if bits & width:
            size = -(-k * width // 8)
            yield width, below, slice(at, at + size)
            below, at = below + width, at + size


def _packed_width(k: int, bits: int) -> int:
    return sum(place.stop - place.start for _, _, place in _planes(k, bits))


def _pack(codes: npt.NDArray[np.uint32], bits: int, out: Bytes) -> None:
    """Write codes ``[n, k]`` below ``2**bits`` into bytes ``[n, packed width]``."""
    for width, below, place in _planes(codes.shape[1], bits):
        part = (codes >> below) & ((1 << width) - 1)
        out[:, place] = part.astype("<u2").view(np.uint8) if width == 16 else _squeeze(part.astype(np.uint8), width)


def _squeeze(values: Bytes, width: int) -> Bytes:
    """Values of ``width`` bits into bytes: the first part of a row lowest, the next part above it, and so on.

    Parts rather than neighbours share bytes, so that both ways are few operations on long stretches.
    """
    per = 8 // width
    n, k = values.shape
    size = -(-k // per)
    padded = np.zeros((n, size * per), dtype=np.uint8)
    padded[:, :k] = values
    shifted = padded.reshape(n, per, size) << np.arange(0, 8, width, dtype=np.uint8)[:, None]
    return np.asarray(np.bitwise_or.reduce(shifted, axis=1), dtype=np.uint8)


def _spread(packed: Bytes, k: int, width: int) -> Bytes:
    """The values that :func:`_squeeze` put together: uint8 ``[n, k]``."""
    mask = np.uint8((1 << width) - 1)
    return np.concatenate([(packed >> np.uint8(shift)) & mask for shift in range(0, 8, width)], axis=1)[:, :k]


def _unpack(packed: Bytes, k: int, bits: int) -> Ints:
    """The codes that :func:`_pack` wrote: int32 ``[n, k]``."""
    out = np.zeros((len(packed), k), dtype=np.int32)
    for width, below, place in _planes(k, bits):
        block = packed[:, place]
        part = block.view("<u2") if width == 16 else block if width == 8 else _spread(block, k, width)
        if below:
            out |= part.astype(np.int32) << below
        else:
            out[:] = part
    return out
