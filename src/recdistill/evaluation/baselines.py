"""The bar that distillation must clear: item-kNN and EASE, tuned on validation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import numpy as np
from scipy import sparse

from ..data.dataset import Contexts, Split
from ..errors import ConfigError, nearest
from ..models.base import RankingModel
from ..models.ease import EASE, EASEModel
from ..models.item_knn import ItemKNN, ItemKNNModel, co_occurrences
from ..models.popularity import Popularity
from ..progress import track
from .metrics import metric_values
from .ranking import rank

__all__ = ["tune_baselines"]

log = logging.getLogger("recdistill")

_KNN_GRID: dict[str, tuple[Any, ...]] = {
    "decay": (0.4, 0.6, 0.8, 0.9, 1.0),
    "shrink": (0.0, 5.0, 20.0, 100.0),
    "popularity": (0.1, 0.3, 0.5),
    "backward": (0.0, 0.25, 0.5, 1.0),
    "window": (3, 10, 50),
    "closeness": (0.0, 0.5, 1.0),
    "neighbours": (50, 200, 1000),
}
"""Values of each parameter; those first in the list matter most and are searched first."""
_ROUNDS = 2
_HALF_LIVES = (7.0, 30.0, 90.0, 365.0)
_L2 = (20.0, 100.0, 500.0, 2500.0)
_DECAY = (0.5, 0.7, 0.8, 0.9, 1.0)
_CONTEXTS = 4000
"""Validation contexts that are asked at most, spread evenly over all."""


def tune_baselines(
    split: Split, names: Sequence[str] = ("item-knn", "ease"), *, exclude_history: bool = True
) -> dict[str, RankingModel]:
    """Fit baselines with the parameters that are best on validation NDCG@10; the test part is not looked at.

    Item-kNN: parameters one after another over a small grid, twice; co-occurrences are counted once for each window.
    EASE: all of a grid of ridge and decay; one inverse for each ridge. EASE is left out, with a line in the log, for a
    catalogue beyond its ``max_items``. Popularity: without decay, and with some half-lives if the log has times.

    Args:
        split: Fitted on its training events, chosen on its validation contexts.
        names: Some of ``"popularity"``, ``"item-knn"``, ``"ease"``.
        exclude_history: As the models will be evaluated.

    Returns:
        Name to fitted model, in the order of ``names``.

    Raises:
        ConfigError: There is no such baseline.
    """
    step = -(-len(split.valid) // _CONTEXTS) or 1
    judge = _Judge(split.valid.take(np.arange(0, len(split.valid), step)), exclude_history)
    found: dict[str, RankingModel] = {}
    for name in names:
        if name not in _TUNERS:
            raise ConfigError(f"no baseline is called {name!r}", key=("baselines",), hint=nearest(name, _TUNERS))
    with track("tune baselines", len(names), "models") as progress:
        for name in names:
            if name == "ease" and split.n_items > EASE().max_items:
                log.info("no EASE baseline: %d items need too large a dense matrix", split.n_items)
            else:
                found[name] = _TUNERS[name](split, judge)
            progress.advance(note=name)
    return found


class _Judge:
    """Validation NDCG@10 of a model."""

    def __init__(self, contexts: Contexts, exclude_history: bool) -> None:
        self.contexts, self.exclude_history = contexts, exclude_history

    def __call__(self, model: RankingModel) -> float:
        ranked = rank(model, self.contexts, 10, exclude_history=self.exclude_history)
        values = metric_values(ranked, self.contexts.targets, "ndcg@10")
        return float(np.nan_to_num(values).sum())


def _tune_popularity(split: Split, judge: _Judge) -> RankingModel:
    half_lives = (None, *_HALF_LIVES) if split.train.times is not None else (None,)
    return max((Popularity(half_life_days=days).build(split) for days in half_lives), key=judge)


def _tune_knn(split: Split, judge: _Judge) -> ItemKNNModel:
    @cache
    def counted(window: int, closeness: float) -> sparse.csr_array:
        return co_occurrences(split.train, split.n_items, window, closeness)

    def fit(config: ItemKNN) -> ItemKNNModel:
        return config.from_counts(counted(config.window, config.closeness), split.popularity)

    best = fit(ItemKNN())
    scores = {best.config: judge(best)}
    for _ in range(_ROUNDS):
        for name, values in _KNN_GRID.items():
            for config in [best.config.replace(**{name: value}) for value in values]:
                if config not in scores:
                    model = fit(config)
                    scores[config] = judge(model)
                    best = model if scores[config] > scores[best.config] else best
    return best


def _tune_ease(split: Split, judge: _Judge) -> EASEModel:
    def best_decay(l2: float) -> tuple[float, EASEModel]:
        fitted = EASE(l2=l2).build(split)
        decayed = [EASEModel(fitted.config.replace(decay=decay), fitted.weights, fitted.share) for decay in _DECAY]
        return max(((judge(model), model) for model in decayed), key=itemgetter(0))

    return max(map(best_decay, _L2), key=itemgetter(0))[1]


_TUNERS: dict[str, Callable[[Split, _Judge], RankingModel]] = {
    "popularity": _tune_popularity,
    "item-knn": _tune_knn,
    "ease": _tune_ease,
}
