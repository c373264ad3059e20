"""Several bundles that answer together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from ..errors import ConfigError, DataError
from .bundle import Bundle, Recommendation

__all__ = ["Fusion"]

Method = Literal["rank", "score"]
_SMOOTH = 60
"""Of reciprocal rank fusion, as in its paper."""


class Fusion:
    """Bundles over the same items, or some of them, asked as one.

    ``rank``: an item gets ``weight / (60 + rank)`` from every list it is in (reciprocal rank fusion, Cormack et al.
    2009, https://doi.org/10.1145/1571941.1572114). ``score``: it gets ``weight · score``, each bundle's scores scaled
    to 0…1 within its list.

    Args:
        bundles: At least one.
        weights: How much each counts; 1 each if None.
        method: How lists are joined.
        depth: Items asked of each bundle; at least as many as the answer has.

    Raises:
        ConfigError: Another number of weights than of bundles, or a weight below 0.
    """

    def __init__(
        self,
        bundles: Sequence[Bundle],
        weights: Sequence[float] | None = None,
        *,
        method: Method = "rank",
        depth: int = 100,
    ) -> None:
        self.bundles, self.weights = tuple(bundles), tuple(weights or [1.0] * len(bundles))
        if not bundles or len(self.weights) != len(bundles) or not all(weight >= 0 for weight in self.weights):
            raise ConfigError(f"{len(self.weights)} weights for {len(bundles)} bundles", key=("weights",))
        if method not in ("rank", "score"):
            raise ConfigError(f"no method is called {method!r}", key=("method",), hint="use 'rank' or 'score'")
        self.method, self.depth = method, depth

    def recommend(self, history: Sequence[str] = (), n: int = 10, **settings: Any) -> list[Recommendation]:
        """Items for somebody; see :meth:`Bundle.recommend`. Each bundle reads the events that it knows.

        Raises:
            DataError: An event that no bundle knows.
        """
        known = [bundle.items.find(history) >= 0 for bundle in self.bundles]
        for place, event in enumerate(history):
            if not any(mask[place] for mask in known):
                raise DataError(f"no bundle knows the item {event!r:.80}", hint="give ids")

        def ask(bundle: Bundle, depth: int) -> list[Recommendation]:
            mask = known[self.bundles.index(bundle)]
            events = [event for event, there in zip(history, mask, strict=True) if there]
            return bundle.recommend(events, depth, **settings)

        return self._fused(ask, n)

    def similar(self, item: str, n: int = 10, **settings: Any) -> list[Recommendation]:
        """Items like this one; bundles that do not know it are not asked.

        Raises:
            DataError: No bundle knows it.
        """
        if not any(bundle.items.find([item])[0] >= 0 for bundle in self.bundles):
            raise DataError(f"no bundle knows the item {item!r:.80}", hint="give ids")

        def ask(bundle: Bundle, depth: int) -> list[Recommendation]:
            return bundle.similar(item, depth, **settings) if bundle.items.find([item])[0] >= 0 else []

        return self._fused(ask, n)

    def popular(self, n: int = 10, **settings: Any) -> list[Recommendation]:
        """The most popular items; see :meth:`Bundle.popular`."""
        return self._fused(lambda bundle, depth: bundle.popular(depth, **settings), n)

    def search(self, text: str, n: int = 10, **settings: Any) -> list[Recommendation]:
        """Items that fit a text; see :meth:`Bundle.search`."""
        return self._fused(lambda bundle, depth: bundle.search(text, depth, **settings), n)

    def _fused(self, ask: Callable[[Bundle, int], list[Recommendation]], n: int) -> list[Recommendation]:
        points: dict[str, float] = {}
        titles: dict[str, str] = {}
        for bundle, weight in zip(self.bundles, self.weights, strict=True):
            found = ask(bundle, max(self.depth, n))
            for one, value in zip(found, self._values(found), strict=True):
                points[one.item] = points.get(one.item, 0.0) + weight * value
                titles.setdefault(one.item, one.title)
        best = sorted(points, key=lambda item: -points[item])[:n]  # stable: the first bundle decides between equals
        return [Recommendation(item, titles[item], points[item]) for item in best]

    def _values(self, found: list[Recommendation]) -> list[float]:
        if self.method == "rank":
            return [1 / (_SMOOTH + rank) for rank in range(1, len(found) + 1)]
        scores = np.array([one.score for one in found], dtype=np.float64)
        low, high = scores.min(initial=np.inf), scores.max(initial=-np.inf)
        return ((scores - low) / max(high - low, 1e-12)).tolist()  # type: ignore[no-any-return]
