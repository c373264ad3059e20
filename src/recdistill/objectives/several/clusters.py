"""Kinds of contexts by what was taken in them: the cluster of every training position."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ...data.dataset import Split
from ...data.sequences import Sequences

__all__ = ["clusters_of_positions"]

Floats = npt.NDArray[np.float64]

_DIM = 16
_ROUNDS = 25
_SAMPLE = 20_000
"""Contexts that the centres are fitted to."""
_BLOCK = 1 << 18
"""Events whose vectors are held at once."""


def clusters_of_positions(split: Split, n: int, seed: int) -> npt.NDArray[np.uint8]:
    """Cluster contexts by the mean direction of the items in them: uint8 ``[n_positions]``, below ``n``.

    Item vectors are the leading singular directions of the log's user-item matrix, each item scaled to length 1, so
    that items which the same users take lie together. Contexts are clustered by spherical k-means (Dhillon and Modha
    2001, https://doi.org/10.1023/A:1007612920971). Empty contexts belong to cluster 0.

    Args:
        split: Its training events.
        n: Clusters, 256 at most.
        seed: Equal seeds give equal clusters.
    """
    train, vectors = split.train, _item_vectors(split.train, split.n_items, seed)
    random = np.random.default_rng(seed)
    sample = np.sort(random.permutation(train.n_positions)[:_SAMPLE])
    found = np.concatenate([v[np.isin(at, sample)] for at, v in _contexts(train, vectors)])
    centres = _spherical(found[found.any(axis=1)], n, random)
    out = np.zeros(train.n_positions, dtype=np.uint8)
    for at, contexts in _contexts(train, vectors):
        out[at] = np.argmax(contexts @ centres.T, axis=1)
    return out


def _item_vectors(train: Sequences, n_items: int, seed: int) -> Floats:
    """Unit vectors float64 ``[n_items, dim]``; zeros for items without events."""
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import svds

    ones = np.ones(train.n_events)
    matrix = csr_array((ones, (train.row_of_event(), train.items)), shape=(len(train), n_items))
    matrix.data[:] = 1.0
    dim = min(_DIM, min(matrix.shape) - 1)
    if dim < 1:
        return np.ones((n_items, 1))
    start = np.random.default_rng(seed).standard_normal(min(matrix.shape))
    _, values, right = svds(matrix, k=dim, v0=start)
    return _unit((right * values[:, None]).T)


def _contexts(train: Sequences, vectors: Floats) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
    """Positions and the sums of the vectors of what came before each, block by block of rows."""
    number = train.offsets[:-1] // _BLOCK
    for rows in np.split(np.arange(len(train)), np.flatnonzero(np.diff(number)) + 1):
        if not len(rows):
            continue
        low, high = train.offsets[rows[0]], train.offsets[rows[-1] + 1]
        sums = np.concatenate([np.zeros((1, vectors.shape[1])), np.cumsum(vectors[train.items[low:high]], axis=0)])
        begin = train.offsets[rows] - low
        lengths = train.lengths[rows]
        before = sums[np.arange(high - low)] - np.repeat(sums[begin], lengths, axis=0)
        whole = sums[train.offsets[rows + 1] - low] - sums[begin]
        yield np.concatenate([np.arange(low, high), train.n_events + rows]), np.concatenate([before, whole])


def _spherical(points: Floats, n: int, random: np.random.Generator) -> Floats:
    """Centres of directions: float64 ``[at most n, dim]``, at least one."""
    points = _unit(points)
    distinct = np.unique(points.round(9), axis=0)
    if len(distinct) <= n:
        return distinct if len(distinct) else np.zeros((1, points.shape[1]))
    chosen = [int(random.integers(len(points)))]
    nearest = points @ points[chosen[0]]
    for _ in range(n - 1):  # k-means++: the farther from all centres, the likelier
        far = np.maximum(1 - nearest, 0)
        chosen.append(int(random.choice(len(points), p=far / far.sum())))
        nearest = np.maximum(nearest, points @ points[chosen[-1]])
    centres = points[chosen]
    for _ in range(_ROUNDS):
        member = np.argmax(points @ centres.T, axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, member, points)
        moved = np.where(sums.any(axis=1, keepdims=True), _unit(sums), centres)
        if np.allclose(moved, centres, atol=1e-6):
            break
        centres = moved
    return centres


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-12))
