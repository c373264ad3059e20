"""Fit the text tower: words whose mean is the vector that the student would have learned for an item.

Two teachers speak. The student's own item vectors say what users made of the items; the embeddings of a text encoder or
LLM, if there are some, say which texts mean the like. First every word gets the vector that explains the encoder's
embeddings, mapped into the student's space; then what that leaves of the student's vectors is explained by the words
themselves, so that a word that users react to differs from one that merely means the like. All of it is ridge
regression, whose strength is chosen on items held back. What is fitted is read by :mod:`recdistill.serving.tower`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BundleError
from ..models.base import Floats, VectorModel
from ..models.fism import FISMModel
from ..serving.tower import Tower
from ..serving.words import words
from .quantise import pack

__all__ = ["FittedTower", "fit_tower", "tower_targets"]

Doubles = npt.NDArray[np.float64]
_COMMON = 1e-3
"""A word of this share among all words counts half as much as a rare one (Arora et al. 2017)."""
_LEAST = 2
"""Texts that a word must stand in."""
_HELD = 0.1
_STRENGTHS = (0.3, 1.0, 3.0, 10.0)
_MAPS = (0.03, 0.3)
_OF_ENCODER = 1.0
_STEPS = 50


@dataclass(frozen=True, slots=True, eq=False)
class FittedTower:
    """A tower and how good it is.

    Attributes:
        tower: What a bundle carries.
        explained: Share of the variance of held-out items' vectors that it explains, weighted by their events.
    """

    tower: Tower
    explained: float


def tower_targets(model: VectorModel) -> Floats:
    """What a tower must give for an item of this model: float32 ``[n_items, width]``, see ``VectorScorer.grown``."""
    parts = [model.item_vectors()]
    if isinstance(model, FISMModel):
        parts.append(model.seen_table().detach().cpu().numpy())
    if (bias := model.item_bias()) is not None:
        parts.append(bias[:, None])
    return np.concatenate(parts, axis=1).astype(np.float32)


def fit_tower(
    texts: Sequence[str],
    targets: Floats,
    counts: npt.NDArray[np.integer[Any]],
    *,
    embeddings: npt.NDArray[Any] | None = None,
    most_words: int = 20_000,
    seed: int = 0,
) -> FittedTower:
    """Fit a tower.

    Args:
        texts: Of all items.
        targets: float32 ``[n_items, width]``, from :func:`tower_targets`.
        counts: int ``[n_items]``, training events; an item without any is not learned from.
        embeddings: float ``[n_items, any]`` of the same texts by an encoder or LLM.
        most_words: Words kept, the most frequent.
        seed: Of the choice of held-out items.

    Raises:
        BundleError: Fewer than two items have both text and events.
    """
    vocabulary = _vocabulary([text for text, count in zip(texts, counts, strict=True) if count], most_words)
    bags = _bags(texts, vocabulary)
    learned = np.flatnonzero((np.asarray(counts) > 0) & (np.diff(bags.indptr) > 0))
    if len(learned) < 2:
        raise BundleError("fewer than two items have text and events: nothing to fit a text tower to")
    weights = np.sqrt(np.asarray(counts, dtype=np.float64))
    held = np.zeros(len(texts), dtype=np.bool_)
    held[np.random.default_rng(seed).permutation(learned)[: max(int(_HELD * len(learned)), 1)]] = True
    fitting = weights * (np.isin(np.arange(len(texts)), learned) & ~held)
    encoder = None if embeddings is None else _encoder_words(bags, embeddings)
    choices = [
        (_explained(bags, targets, weights * held, fitting, _words(bags, targets, fitting, encoder, *c)), c)
        for c in [(map_, strength) for map_ in (_MAPS if encoder is not None else (1.0,)) for strength in _STRENGTHS]
    ]
    explained, chosen = max(choices)
    weights[np.diff(bags.indptr) == 0] = 0
    vectors = _words(bags, targets, weights, encoder, *chosen).astype(np.float32)
    packed = pack(vectors, "int8")
    assert packed.scales is not None
    index = {word: row for row, word in enumerate(vocabulary)}
    mean = _mean(targets, weights).astype(np.float32)
    rarity = np.array(list(vocabulary.values()), dtype=np.float32)
    return FittedTower(Tower(index, packed.values, packed.scales, rarity, mean), explained)


def _vocabulary(texts: Sequence[str], most: int) -> dict[str, float]:
    """Words and their weights, the most frequent first."""
    counts, held = Counter[str](), Counter[str]()
    for text in texts:
        found = words(text)
        counts.update(found)
        held.update(set(found))
    total = max(counts.total(), 1)
    kept = [word for word, count in held.most_common(most) if count >= _LEAST]
    return {word: _COMMON / (_COMMON + counts[word] / total) for word in kept}


def _bags(texts: Sequence[str], vocabulary: dict[str, float]) -> Any:
    """The weights of the words of each text, adding up to 1: a sparse matrix ``[n, words]``."""
    from scipy.sparse import csr_matrix, diags

    index = {word: column for column, word in enumerate(vocabulary)}
    rows = [[index[word] for word in words(text) if word in index] for text in texts]
    columns = np.array([column for row in rows for column in row], dtype=np.int64)
    ends = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    weights = np.array(list(vocabulary.values()))[columns] if len(columns) else np.zeros(0)
    bags = csr_matrix((weights, columns, ends), shape=(len(texts), len(vocabulary)))
    bags.sum_duplicates()
    return diags(1 / np.maximum(np.asarray(bags.sum(axis=1)).ravel(), 1e-12)) @ bags


def _words(
    bags: Any, targets: Floats, weights: Doubles, encoder: Doubles | None, map_: float, strength: float
) -> Doubles:
    """Vectors of the words: float64 ``[words, width]``."""
    wanted = targets - _mean(targets, weights)
    if encoder is None:
        return _sparse_ridge(bags, wanted, weights, strength)
    said = bags @ encoder
    mapped = encoder @ _ridge(said, wanted, weights, map_)
    left: Doubles = wanted - bags @ mapped
    return mapped + _sparse_ridge(bags, left, weights, strength)


def _encoder_words(bags: Any, embeddings: npt.NDArray[Any]) -> Doubles:
    """Vectors of the words that explain an encoder's embeddings, also of items that nobody has used."""
    given = np.asarray(embeddings, dtype=np.float64)
    weights = ((np.diff(bags.indptr) > 0) & given.any(axis=1)).astype(np.float64)
    return _sparse_ridge(bags, given - _mean(given, weights), weights, _OF_ENCODER)


def _mean(rows: npt.NDArray[Any], weights: Doubles) -> Doubles:
    mean: Doubles = weights @ rows / max(weights.sum(), 1e-12)
    return mean


def _ridge(rows: Doubles, wanted: Doubles, weights: Doubles, strength: float) -> Doubles:
    """``argmin_M Σ_r w_r |rows_r M - wanted_r|² + λ |M|²``, with λ relative to the mean of the diagonal."""
    weighted = rows * weights[:, None]
    gram = weighted.T @ rows
    gram[np.diag_indices(len(gram))] += strength * max(float(np.trace(gram)) / len(gram), 1e-12)
    solved: Doubles = np.linalg.solve(gram, weighted.T @ wanted).astype(np.float64, copy=False)
    return solved


def _sparse_ridge(bags: Any, wanted: npt.NDArray[Any], weights: Doubles, strength: float) -> Doubles:
    """The same for a sparse matrix, all columns at once by conjugate gradients."""
    from scipy.sparse import diags

    weighted = bags.T @ diags(weights)
    diagonal = weighted.multiply(bags.T).sum(axis=1)
    ridge = strength * max(float(np.asarray(diagonal).mean()), 1e-12)
    residual: Doubles = weighted @ wanted
    solved, towards = np.zeros_like(residual), residual.copy()
    size: Any = np.square(residual).sum(axis=0)
    for _ in range(_STEPS):
        image = weighted @ (bags @ towards) + ridge * towards
        step = size / np.maximum((towards * image).sum(axis=0), 1e-300)
        solved += step * towards
        residual -= step * image
        before: Doubles = size
        size = np.square(residual).sum(axis=0)
        towards = residual + size / np.maximum(before, 1e-300) * towards
    return solved


def _explained(bags: Any, targets: Floats, judged: Doubles, fitting: Doubles, vectors: Doubles) -> float:
    """Share of the variance of some items that the vectors of the words explain; 0 or less if none."""
    wanted = targets - _mean(targets, fitting)
    off = np.square(wanted - bags @ vectors).sum(axis=1)
    return 1 - float(judged @ off) / max(float(judged @ np.square(wanted).sum(axis=1)), 1e-12)
