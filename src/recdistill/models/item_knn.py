"""Neighbours of the history's items, counted with their order and distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from ..data.dataset import Contexts, Split
from ..data.sequences import Sequences
from .base import Floats, ModelConfig, RankingModel

if TYPE_CHECKING:
    from ..knowledge import Knowledge

__all__ = ["ItemKNN", "ItemKNNModel", "co_occurrences", "history_matrix"]

_PAIRS = 4_000_000
"""Event pairs that are counted at a time: bounds the memory of :func:`co_occurrences`."""
_TIE_BREAK = 1e-6
"""Weight of popularity: orders the items that no neighbour list reaches, too small to move any other."""


class ItemKNN(ModelConfig):
    """Sequence-aware item-to-item neighbours: the score of an item is the decayed sum of its similarity to the history.

    With :math:`c_{ij}` the number of times that ``j`` follows ``i`` within ``window`` events (plus ``backward`` times
    the reverse, each weighted ``distance ** -closeness``) and :math:`n_i` the events of ``i``, the similarity is

    .. math:: s_{ij} = c_{ij} / (n_i^{1-a} n_j^a + shrink)

    the cosine at ``popularity`` a = 1/2 (Sarwar et al. 2001, https://doi.org/10.1145/371920.372071; order and decay as
    in Ludewig and Jannach 2018, https://arxiv.org/abs/1803.09587). Untuned it beats many published neural models, so no
    distillation is worth having that does not beat it.
    """

    name: ClassVar[str] = "item-knn"
    has_vectors: ClassVar[bool | None] = False

    neighbours: int = Field(200, ge=1, description="most similar items kept of each item")
    window: int = Field(10, ge=1, description="events up to which two items count as occurring together")
    closeness: float = Field(0.5, ge=0, description="0: all pairs in the window count alike; 1: by 1 / distance")
    backward: float = Field(0.5, ge=0, le=1, description="weight of pairs against the order; 1: order is ignored")
    shrink: float = Field(5.0, ge=0, description="events that damp the similarity of rare items")
    popularity: float = Field(0.5, ge=0, le=1, description="exponent that discounts popular items; 0: not at all")
    decay: float = Field(0.8, gt=0, le=1, description="weight of a history's event relative to the next newer one")
    max_history: int = Field(50, ge=1, description="newest events of a history that are used")

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> ItemKNNModel:
        counts = co_occurrences(split.train, split.n_items, self.window, self.closeness)
        return self.from_counts(counts, split.popularity)

    def from_counts(self, counts: sparse.csr_array, events: npt.NDArray[np.int64]) -> ItemKNNModel:
        """Fit to :func:`co_occurrences` counted before, so that a grid search counts once.

        Args:
            counts: ``[n_items, n_items]``.
            events: int64 ``[n_items]``, training events of each item.
        """
        both = sparse.csr_array(counts + self.backward * counts.T) if self.backward else counts
        similar = _similarities(both, events, self)
        return ItemKNNModel(self, similar, (events / max(events.sum(), 1)).astype(np.float32))

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> ItemKNNModel:
        parts = (tensors["values"], tensors["columns"], tensors["offsets"])
        return ItemKNNModel(self, sparse.csr_array(parts, shape=(n_items, n_items)), tensors["share"])


class ItemKNNModel(RankingModel):
    """Fitted :class:`ItemKNN`.

    Args:
        similar: float32 ``[n_items, n_items]``, row ``i`` holds the neighbours of ``i``.
        share: float32 ``[n_items]``, share of each item in the training events.
    """

    config: ItemKNN

    def __init__(self, config: ItemKNN, similar: sparse.csr_array, share: Floats) -> None:
        self.config, self.n_items, self.n_users = config, len(share), 0
        self.similar, self.share = similar, share

    def score(self, contexts: Contexts) -> Floats:
        history = history_matrix(contexts.history, self.n_items, self.config.decay, self.config.max_history)
        scores: Floats = (history @ self.similar).toarray()
        scores += _TIE_BREAK * self.share
        return scores

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        similar = self.similar
        return {"values": similar.data, "columns": similar.indices, "offsets": similar.indptr, "share": self.share}

    @property
    def n_parameters(self) -> int:
        return int(self.similar.nnz) + self.n_items


def co_occurrences(train: Sequences, n_items: int, window: int, closeness: float) -> sparse.csr_array:
    """How often item ``j`` (column) follows item ``i`` (row), see :class:`ItemKNN`: float32 ``[n_items, n_items]``."""
    row, items = train.row_of_event(), train.items
    total = sparse.csr_array((n_items, n_items), dtype=np.float32)
    waiting: list[tuple[npt.NDArray[Any], ...]] = []
    for distance in range(1, min(window, int(train.lengths.max(initial=0)) - 1) + 1):
        together = (row[distance:] == row[:-distance]) & (items[distance:] != items[:-distance])
        first, second = items[:-distance][together], items[distance:][together]
        waiting.append((first, second, np.full(len(first), distance**-closeness, dtype=np.float32)))
        if sum(len(part[0]) for part in waiting) > _PAIRS:
            total, waiting = total + _counted(waiting, n_items), []
    return total + _counted(waiting, n_items) if waiting else total


def _similarities(counts: sparse.csr_array, events: npt.NDArray[np.int64], config: ItemKNN) -> sparse.csr_array:
    """Normalised counts, of each row the greatest (ties: lower column): float32 ``[n_items, n_items]``."""
    rows = np.repeat(np.arange(len(events)), np.diff(counts.indptr))
    left, right = events ** (1.0 - config.popularity), events**config.popularity
    values = (counts.data / (left[rows] * right[counts.indices] + config.shrink)).astype(np.float32)
    # one integer for value and column, all different: positive floats are ordered like their bits
    keys = (values.view(np.int32).astype(np.int64) << 32) - counts.indices
    kept = np.ones(len(values), dtype=np.bool_)
    for start, stop in zip(counts.indptr[:-1], counts.indptr[1:], strict=True):
        if stop - start > config.neighbours:
            row = keys[start:stop]
            kept[start:stop] = row >= np.partition(row, -config.neighbours)[-config.neighbours]
    offsets = np.concatenate(([0], np.cumsum(kept)))[counts.indptr]
    return sparse.csr_array((values[kept], counts.indices[kept], offsets.astype(np.int32)), shape=counts.shape)


def history_matrix(
    history: Sequences, n_items: int, decay: float = 1.0, max_history: int | None = None
) -> sparse.csr_array:
    """Weights ``decay ** age`` of the newest events of each row, age 0 the newest: float32 ``[rows, n_items]``.

    An item that occurs more than once has the weight of its newest event.
    """
    recent = history if max_history is None else history.last(max_history)
    row = recent.row_of_event()
    age = recent.offsets[row + 1] - 1 - np.arange(recent.n_events)
    key = row * n_items + recent.items
    _, newest = np.unique(key[::-1], return_index=True)
    at = np.sort(recent.n_events - 1 - newest)
    weights = np.power(decay, age[at]).astype(np.float32)
    return sparse.csr_array((weights, (row[at], recent.items[at])), shape=(len(recent), n_items))


def _counted(parts: list[tuple[npt.NDArray[Any], ...]], n_items: int) -> sparse.csr_array:
    first, second, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return sparse.coo_array((weight, (first, second)), shape=(n_items, n_items)).tocsr()
