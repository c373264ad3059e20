"""How alike two spaces of the same items are, and a plane on which both can be looked at.

Vectors are taken at unit length: directions say what an item is like, lengths mostly how popular it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError

__all__ = ["aligned", "linear_cka", "nearest_items", "plane", "shared_neighbours", "unit"]

Values = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_CELLS = 8_000_000
"""Similarities that are held at a time."""
_FEW = 4
"""With fewer items there is nothing to compare."""


def unit(vectors: npt.NDArray[Any]) -> Values:
    """Vectors of length 1, those of length 0 as they are: float64 ``[n, dim]``."""
    plain = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(plain, axis=1, keepdims=True)
    found: Values = np.divide(plain, length, out=np.zeros_like(plain), where=length > 0)
    return found


def linear_cka(one: Values, other: Values) -> float:
    r"""Linear centred kernel alignment: 1 for spaces that are equal but for rotation and scale, 0 for unrelated ones.

    :math:`HSIC(K, L) / \sqrt{HSIC(K, K) HSIC(L, L)}` with :math:`K = X X^T` and :math:`L = Y Y^T` (Kornblith et al.
    2019, https://arxiv.org/abs/1905.00414) and the unbiased estimator of HSIC (Song et al. 2012, equation 5,
    https://jmlr.org/papers/v13/song12a.html). The plain one goes to 1 for any two spaces with more dimensions than
    items. Nothing of the size n × n is made.

    Args:
        one: float64 ``[n, dim]``, n at least 4.
        other: float64 ``[n, any]``, of the same items.

    Returns:
        At most 1; may be slightly below 0 for unrelated spaces; NaN if all items of a space are alike.

    Raises:
        ConfigError: The numbers of items differ, or are too small.
    """
    if len(one) != len(other) or len(one) < _FEW:
        raise ConfigError(f"cannot compare spaces of {len(one)} and {len(other)} items")
    x, y = one - one.mean(axis=0), other - other.mean(axis=0)
    both, of_one, of_other = _hsic(x, y), _hsic(x, x), _hsic(y, y)
    return float(both / np.sqrt(of_one * of_other)) if of_one > 0 and of_other > 0 else float("nan")


def _hsic(x: Values, y: Values) -> float:
    """Song et al. 2012, equation 5, up to a factor; kernels without their diagonals."""
    n = len(x)
    own, other = (x * x).sum(axis=1), (y * y).sum(axis=1)
    rows, columns = x @ x.sum(axis=0) - own, y @ y.sum(axis=0) - other
    trace = ((x.T @ y) ** 2).sum() - own @ other
    return float(trace + rows.sum() * columns.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (rows @ columns))


def nearest_items(vectors: Values, items: Ints, k: int) -> Ints:
    """The ``k`` nearest other items by dot product, which is the cosine of unit vectors: int64 ``[len(items), k]``."""
    found = np.zeros((len(items), k), dtype=np.int64)
    step = max(1, _CELLS // len(vectors))
    for start in range(0, len(items), step):
        asked = items[start : start + step]
        likeness = vectors[asked] @ vectors.T
        likeness[np.arange(len(asked)), asked] = -np.inf
        best = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(likeness, best, axis=1), axis=1, kind="stable")
        found[start : start + step] = np.take_along_axis(best, order, axis=1)
    return found


def shared_neighbours(here: Ints, there: Ints) -> Values:
    """Share of the nearest items in one space, of :func:`nearest_items`, that are so in another: float64 ``[n]``."""
    shared: Values = (here[:, :, None] == there[:, None, :]).any(axis=2).mean(axis=1)
    return shared


def plane(vectors: Values) -> tuple[Values, float]:
    """The first two principal components.

    Returns:
        Coordinates, float64 ``[n, 2]`` with mean 0, and the share of the variance that they keep, in 0..1. A second
        coordinate of zeros where there is only one dimension.
    """
    centred = vectors - vectors.mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred)
    found = centred @ axes[:, ::-1][:, :2]
    total = float(variances.sum())
    share = float(variances[::-1][:2].sum() / total) if total > 0 else 0.0
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1]))), share


def aligned(points: Values, onto: Values) -> Values:
    """Points turned, mirrored and scaled so that they lie as near as possible to others (orthogonal Procrustes).

    Schönemann 1966, https://doi.org/10.1007/BF02289451: with the singular value decomposition :math:`U S V^T` of
    :math:`P^T Q`, the rotation is :math:`U V^T` and the scale :math:`tr(S) / |P|^2`.

    Args:
        points: float64 ``[n, 2]`` with mean 0.
        onto: The same, of the same items.
    """
    left, strength, right = np.linalg.svd(points.T @ onto)
    size = (points * points).sum()
    scale = strength.sum() / size if size > 0 else 1.0
    found: Values = scale * points @ (left @ right)
    return found
