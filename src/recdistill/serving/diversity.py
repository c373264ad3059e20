"""Lists that are not ten times the same: the best items chosen again, one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError

__all__ = ["Diversity"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Diversity:
    """How a list is made more varied.

    Maximal marginal relevance (Carbonell and Goldstein 1998, https://doi.org/10.1145/290941.291025): the next item is
    the one with the largest ``(1 - weight) · score - weight · (largest cosine with an item chosen before)``, scores of
    the pool scaled to 0…1.

    Attributes:
        weight: 0 leaves the order as it is, 1 looks at the differences only.
        per_category: Items of one category, at most; more come only if the pool holds nothing else.
        pool: Best items from which the list is chosen; at least as many as the list has.

    Raises:
        ConfigError: A number outside its range.
    """

    weight: float = 0.0
    per_category: int | None = None
    pool: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ConfigError(f"must be between 0 and 1, not {self.weight}", key=("diversity", "weight"))
        if self.per_category is not None and self.per_category < 1:
            raise ConfigError(f"must be at least 1, not {self.per_category}", key=("diversity", "per_category"))
        if not 1 <= self.pool <= 10_000:
            raise ConfigError(f"must be between 1 and 10,000, not {self.pool}", key=("diversity", "pool"))

    def choose(
        self, scores: Floats, n: int, vectors: Floats | None, categories: Sequence[tuple[str, ...]] | None
    ) -> npt.NDArray[np.int64]:
        """Choose from a pool.

        Args:
            scores: float32 ``[pool]``, best first.
            n: How many, at most.
            vectors: float32 ``[pool, any]``, to see which items are alike; needed if ``weight`` is not 0.
            categories: Of each item of the pool; needed for ``per_category``.

        Returns:
            int64 ``[min(n, pool)]``, places in the pool in the new order.
        """
        gain = np.zeros(len(scores)) if not self.weight else (1 - self.weight) * _scaled(scores)
        unit = _unit(vectors) if self.weight and vectors is not None else None
        nearest = np.zeros(len(scores))
        below = _Caps(self.per_category, categories, len(scores))
        free = np.ones(len(scores), dtype=np.bool_)
        chosen: list[int] = []
        while len(chosen) < min(n, len(scores)):
            open_ = free & below.open
            value = gain - self.weight * nearest
            best = int(np.argmax(np.where(open_ if open_.any() else free, value, -np.inf)))
            chosen.append(best)
            free[best] = False
            if unit is not None:
                like = (unit @ unit[best]).astype(np.float64)
                nearest = np.maximum(nearest, like) if len(chosen) > 1 else like
            below.count(best)
        return np.array(chosen, dtype=np.int64)


class _Caps:
    """Which items of a pool may still come, if each category may have so many.

    Args:
        most: Items of one category; None: any number.
        categories: Of each item of the pool.
        n: Items in the pool.
    """

    def __init__(self, most: int | None, categories: Sequence[tuple[str, ...]] | None, n: int) -> None:
        self._most, self._categories = most, categories if most is not None else None
        self.open = np.ones(n, dtype=np.bool_)
        self._counts: Counter[str] = Counter()
        self._places: dict[str, list[int]] = {}
        for at, names in enumerate(self._categories or ()):
            for name in names:
                self._places.setdefault(name, []).append(at)

    def count(self, item: int) -> None:
        """An item was chosen."""
        if self._categories is None:
            return
        for name in self._categories[item]:
            self._counts[name] += 1
            if self._counts[name] == self._most:
                self.open[self._places[name]] = False


def _scaled(scores: Floats) -> npt.NDArray[np.float64]:
    low, high = float(scores.min(initial=np.inf)), float(scores.max(initial=-np.inf))
    return (scores.astype(np.float64) - low) / max(high - low, 1e-12)


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit
