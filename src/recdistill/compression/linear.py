"""Models without an encoder, brought into the two linear forms that a bundle knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..data.dataset import Contexts
from ..data.sequences import Sequences
from ..models.base import Floats, RankingModel, VectorModel

__all__ = ["ItemToItem", "contexts_of", "fold_in", "item_to_item"]

_CHUNK = 512
_PROBES = 3
_GRID = [(alpha, ridge) for alpha in (0.0, 0.01, 0.1, 1.0) for ridge in (0.01, 0.1, 1.0, 10.0)]


@dataclass(frozen=True, slots=True, eq=False)
class ItemToItem:
    """A sparse item-to-item matrix, the weight of an event by its age, and what is added for everybody.

    Attributes:
        neighbours: int32 ``[n_items, n]``.
        weights: float32 ``[n_items, n]``.
        ages: float32 ``[length]``: weight of the newest event, of the one before it, …; the last holds for all older.
        bias: float32 ``[n_items]``.
    """

    neighbours: npt.NDArray[np.int32]
    weights: Floats
    ages: Floats
    bias: Floats


def contexts_of(histories: Sequences) -> Contexts:
    """Contexts of nobody in particular, without targets."""
    nobody = np.full(len(histories), -1, dtype=np.int32)
    nothing = Sequences(np.zeros(len(histories) + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
    return Contexts(nobody, histories.without_extras(), nothing)


def item_to_item(model: RankingModel, popularity: npt.NDArray[np.int64], *, neighbours: int, ages: int) -> ItemToItem:
    """Read the item-to-item matrix off a model that adds up the events of a history.

    Its answer to an empty history is what it adds for everybody; its answer to the history ``[i]``, less that, is row
    ``i``. How much an event weighs by its age follows from a few long histories by least squares, whatever the decay.

    Args:
        model: Its scores must be sums over the events.
        popularity: int64 ``[n_items]``, to probe with items that have neighbours.
        neighbours: Entries kept of each row, the largest in absolute value.
        ages: Events from the end that get a weight of their own.
    """
    n_items, width = model.n_items, min(neighbours, model.n_items)
    bias = _answers(model, [[]])[0]
    kept = np.zeros((n_items, width), dtype=np.int32)
    weights = np.zeros((n_items, width), dtype=np.float32)
    for start in range(0, n_items, _CHUNK):
        items = np.arange(start, min(start + _CHUNK, n_items))
        rows = _answers(model, items[:, None].tolist()) - bias
        best = np.argpartition(-np.abs(rows), width - 1, axis=1)[:, :width]
        kept[items], weights[items] = best, np.take_along_axis(rows, best, axis=1)
    return ItemToItem(kept, weights, _ages(model, popularity, ages, bias), bias)


def _answers(model: RankingModel, histories: list[list[int]]) -> Floats:
    return np.nan_to_num(model.score(contexts_of(Sequences.from_lists(histories))), neginf=0.0)


def _ages(model: RankingModel, popularity: npt.NDArray[np.int64], length: int, bias: Floats) -> Floats:
    length = max(min(length, model.n_items // 4), 1)
    random = np.random.default_rng(0)
    popular = np.argsort(-popularity, kind="stable")[:length]
    probes = [random.permutation(popular) for _ in range(_PROBES)]
    wanted = _answers(model, [probe.tolist() for probe in probes]) - bias
    rows = np.concatenate([(_answers(model, probe[::-1, None].tolist()) - bias).T for probe in probes])
    weights: Floats = np.linalg.lstsq(rows, wanted.ravel(), rcond=1e-6)[0].astype(np.float32)
    return weights


def fold_in(model: VectorModel, users: Contexts) -> Floats:
    """The part of a ridge regression that is the same for everyone: ``α Vᵀ V + λ I``, float32 ``[dim, dim]``.

    α and λ are those for which folded-in users get most of the top 10 that the model itself gives them.

    Args:
        model: Users and items as vectors.
        users: Known users with a history.
    """
    vectors = model.item_vectors()
    product, unit = vectors.T @ vectors, np.eye(vectors.shape[1], dtype=np.float32)
    wanted = _top(model.score(users))
    size = np.float32(np.square(vectors).sum(axis=1).mean())
    grams = [np.float32(alpha) * product + np.float32(ridge) * size * unit for alpha, ridge in _GRID]
    return max(grams, key=lambda gram: _agreement(vectors, gram, model.item_bias(), users.history, wanted))


def _agreement(
    vectors: Floats, gram: Floats, bias: Floats | None, histories: Sequences, wanted: npt.NDArray[np.int64]
) -> float:
    common = 0
    for row in range(len(histories)):
        seen = vectors[histories[row]]
        scores = vectors @ np.linalg.solve(gram + seen.T @ seen, seen.sum(axis=0))
        common += len(np.intersect1d(_top((scores if bias is None else scores + bias)[None])[0], wanted[row]))
    return common / max(len(histories), 1)


def _top(scores: Floats, k: int = 10) -> npt.NDArray[np.int64]:
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]
