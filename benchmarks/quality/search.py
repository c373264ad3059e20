"""What is searched for each baseline, and how one candidate is fitted without doing the same work twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from scipy import sparse

from recdistill.data.dataset import Split
from recdistill.models import ModelConfig, RankingModel
from recdistill.models.dual_ease import DualEASE, DualEASEModel
from recdistill.models.ease import EASE, EASEModel
from recdistill.models.item_knn import ItemKNN, co_occurrences
from recdistill.models.popularity import Popularity
from recdistill.models.slist import SLIST

__all__ = ["SEARCHES", "Search", "fitter"]

_ALL = 100_000
"""Window and history where order means nothing: everything."""


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """Where a search starts, and the values of each parameter; those that matter most are looked at first.

    Attributes:
        start: First candidate.
        grid: Parameter to its values.
        rounds: How often the grid is gone through.
    """

    start: ModelConfig
    grid: Mapping[str, tuple[Any, ...]]
    rounds: int = 1

    def digest(self) -> str:
        """Changes with anything in the search: 16 hex digits."""
        text = f"{self.start.digest()} {self.grid} {self.rounds}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _knn_of_sequences(_: Split) -> Search:
    grid = {
        "decay": (0.4, 0.6, 0.8, 0.9, 1.0),
        "shrink": (0.0, 5.0, 20.0, 100.0),
        "popularity": (0.0, 0.1, 0.3, 0.5),
        "backward": (0.0, 0.25, 0.5, 1.0),
        "window": (3, 10, 50),
        "closeness": (0.0, 0.5, 1.0),
        "neighbours": (50, 200, 1000, 5000),
    }
    return Search(ItemKNN(), grid, rounds=2)


def _knn_of_sets(_: Split) -> Search:
    start = ItemKNN(window=_ALL, closeness=0.0, backward=1.0, decay=1.0, max_history=_ALL)
    grid = {
        "popularity": (0.0, 0.1, 0.3, 0.5, 0.7),
        "shrink": (0.0, 5.0, 20.0, 100.0),
        "neighbours": (10, 20, 50, 100, 200, 1000),
    }
    return Search(start, grid, rounds=2)


def _ease(split: Split, decays: tuple[float, ...], max_history: int) -> Search:
    """The smaller of the two systems: items × items, or users × users."""
    kind = DualEASE if split.n_users < split.n_items else EASE
    start = kind(decay=decays[0], max_history=max_history)
    return Search(start, {"l2": (5.0, 20.0, 50.0, 100.0, 200.0, 500.0), "decay": decays})


def _ease_of_sequences(split: Split) -> Search:
    return _ease(split, (0.8, 0.5, 0.7, 0.9, 1.0), 200)


def _ease_of_sets(split: Split) -> Search:
    return _ease(split, (1.0,), _ALL)


def _slist(_: Split) -> Search:
    return Search(SLIST(), {"l2": (10.0, 100.0, 1000.0), "history_power": (0.5, 1.0)})


def _popularity(_: Split) -> Search:
    return Search(Popularity(), {})


SEARCHES: dict[str, dict[str, Callable[[Split], Search]]] = {
    "sequences": {
        "popularity": _popularity, "item-knn": _knn_of_sequences, "ease": _ease_of_sequences, "slist": _slist,
    },
    "sets": {"popularity": _popularity, "item-knn": _knn_of_sets, "ease": _ease_of_sets},
}  # fmt: skip
"""Kind of history to name of baseline to its search."""


def fitter(split: Split) -> Callable[[ModelConfig], RankingModel]:
    """A function from a baseline's parameters to the fitted model; counts and inverses are kept between calls."""

    @lru_cache(maxsize=4)
    def counted(window: int, closeness: float) -> sparse.csr_array:
        return co_occurrences(split.train, split.n_items, window, closeness)

    @lru_cache(maxsize=1)
    def solved(config: ModelConfig) -> RankingModel:
        return config.build(split)

    def fit(config: ModelConfig) -> RankingModel:
        if isinstance(config, ItemKNN):
            return config.from_counts(counted(config.window, config.closeness), split.popularity)
        if not isinstance(config, EASE | DualEASE):
            return config.build(split)
        model = solved(config.replace(decay=1.0))  # the decay is of the history that is asked, not of the fit
        if isinstance(config, DualEASE) and isinstance(model, DualEASEModel):
            return DualEASEModel(config, model.known, model.inverse, model.diagonal, model.share)
        assert isinstance(config, EASE)
        assert isinstance(model, EASEModel)
        return EASEModel(config, model.weights, model.share)

    return fit
