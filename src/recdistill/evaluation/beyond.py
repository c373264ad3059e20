"""What a list is like besides right or wrong: coverage, concentration, novelty, diversity."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ..data.dataset import Catalogue

__all__ = ["coverage", "diversity", "gini", "item_vectors", "novelty"]

Values = npt.NDArray[np.float64]
Items = npt.NDArray[np.int32]
_ROWS = 8192
"""Lists whose vectors are summed at a time."""


def coverage(ranked: Items, k: int, n_items: int) -> float:
    """Share of the catalogue that appears in at least one list's first k, in 0..1."""
    return float(np.count_nonzero(_counts(ranked, k, n_items)) / n_items)


def gini(ranked: Items, k: int, n_items: int) -> float:
    r"""Gini index of how often each item is recommended in a first k: 0 all alike, towards 1 always the same few.

    :math:`\sum_i (2i - n - 1) x_i / (n \sum_i x_i)` with the counts :math:`x_i` ascending; NaN without recommendations.
    """
    counts = np.sort(_counts(ranked, k, n_items))
    if not counts.any():
        return float("nan")
    place = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float((place * counts).sum() / (n_items * counts.sum()))


def novelty(ranked: Items, k: int, popularity: npt.NDArray[np.int64]) -> Values:
    r"""Mean self-information of the first k, in bits: :math:`-\log_2 \frac{c_i + 1}{\sum_j (c_j + 1)}`.

    The :math:`c_i` are an item's training events (Zhou et al. 2010, https://doi.org/10.1073/pnas.1000488107); the 1 is
    for cold items.

    Returns:
        float64 ``[n]``, NaN for an empty list.
    """
    bits = np.append(-np.log2((popularity + 1) / (popularity + 1).sum()), 0.0)  # index -1, none, adds nothing
    lists = ranked[:, :k]
    return _divide(bits[lists].sum(axis=1), (lists >= 0).sum(axis=1))


def diversity(ranked: Items, k: int, vectors: Any) -> Values:
    r"""Intra-list diversity of the first k: mean of 1 - cosine over all pairs of items.

    From Smyth and McClave 2001, https://doi.org/10.1007/3-540-44593-5_25. For m unit vectors that is
    :math:`1 - (|\sum_i v_i|^2 - m) / (m (m - 1))`, so no pair is looked at. Items without a vector are left out.

    Args:
        ranked: int32 ``[n, depth]``, -1 for none.
        k: Items of each list that are compared.
        vectors: What :func:`item_vectors` gave.

    Returns:
        float64 ``[n]``, NaN for lists with fewer than two items that have a vector.
    """
    known = np.asarray(abs(vectors).sum(axis=1)).ravel() > 0
    parts = [_diversity(ranked[start : start + _ROWS, :k], vectors, known) for start in range(0, len(ranked), _ROWS)]
    return np.concatenate(parts) if parts else np.zeros(0)


def item_vectors(catalogue: Catalogue, embeddings: npt.NDArray[Any] | None = None) -> Any | None:
    """Vectors of unit length by which items are compared: the embeddings given, else categories, else None.

    Returns:
        float64 ``[n_items, any]``, dense for embeddings, sparse for categories (1 / √(number of categories) for each).
    """
    if embeddings is not None:
        dense = np.asarray(embeddings, dtype=np.float64)
        return dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)
    if not catalogue.categories:
        return None
    per_item = [sorted(set(categories)) for categories in catalogue.categories]
    names = {name: column for column, name in enumerate(sorted({c for own in per_item for c in own}))}
    columns = [names[c] for own in per_item for c in own]
    counts = np.array([len(own) for own in per_item])
    offsets = np.concatenate(([0], np.cumsum(counts)))
    values = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts)
    return sparse.csr_array((values, columns, offsets), shape=(len(per_item), len(names))) if names else None


def _diversity(lists: Items, vectors: Any, known: npt.NDArray[np.bool_]) -> Values:
    used = (lists >= 0) & known[lists]
    count = used.sum(axis=1)
    offsets = np.concatenate(([0], np.cumsum(count)))
    members = sparse.csr_array((np.ones(offsets[-1]), lists[used], offsets), shape=(len(lists), len(known)))
    total = members @ vectors
    square = np.asarray((total * total).sum(axis=1)).ravel()
    return 1 - _divide(square - count, count * (count - 1))


def _counts(ranked: Items, k: int, n_items: int) -> npt.NDArray[np.int64]:
    first = ranked[:, :k]
    return np.bincount(first[first >= 0], minlength=n_items)


def _divide(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Values:
    return np.where(b > 0, a / np.maximum(b, 1), np.nan)
