"""The linear item-to-item model in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import linalg, sparse

from ..data.dataset import Contexts, Split
from ..errors import ConfigError
from .base import Floats, ModelConfig, RankingModel
from .item_knn import history_matrix

if TYPE_CHECKING:
    from ..knowledge import Knowledge

__all__ = ["EASE", "EASEModel", "inverse_gram"]

_EXACT = 5_000
"""Items up to which the system is solved in double precision; beyond, single precision halves memory and time."""
_TIE_BREAK = 1e-6
"""Weight of popularity: orders the items of an empty history, too small to move any other."""


class EASE(ModelConfig):
    """Embarrassingly shallow autoencoder (Steck 2019, https://arxiv.org/abs/1905.03375): the linear student.

    With :math:`X` the users × items matrix of 0 and 1, :math:`P = (X^T X + λI)^{-1}` and
    :math:`B_{ij} = -P_{ij} / P_{jj}` off the diagonal, 0 on it, the scores of a history :math:`x` are :math:`xB`. Here
    the entries of :math:`x` decay with age, which makes it a much stronger predictor of the *next* item.
    """

    name: ClassVar[str] = "ease"
    has_vectors: ClassVar[bool | None] = False

    l2: float = Field(200.0, gt=0, description="strength of the ridge; more for logs with more events per item")
    decay: float = Field(0.9, gt=0, le=1, description="weight of a history's event relative to the next newer one")
    max_history: int = Field(200, ge=1, description="newest events of a history that are used")
    max_items: int = Field(20_000, ge=1, description="refuse catalogues beyond this: memory grows with its square")

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> EASEModel:
        """Solve.

        Raises:
            ConfigError: The catalogue has more than ``max_items`` items.
        """
        if split.n_items > self.max_items:
            size = split.n_items**2 * 4 / 2**30
            raise ConfigError(
                f"EASE needs a dense matrix of {split.n_items:,} x {split.n_items:,} items ({size:.1f} GiB)",
                key=("max_items",),
                hint=f"use item-knn, which is sparse, or raise max_items (now {self.max_items:,})",
            )
        weights = closed_form(history_matrix(split.train, split.n_items), self.l2)
        return EASEModel(self, weights, (split.popularity / max(split.popularity.sum(), 1)).astype(np.float32))

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> EASEModel:
        return EASEModel(self, tensors["weights"], tensors["share"])


class EASEModel(RankingModel):
    """Fitted :class:`EASE`.

    Args:
        weights: float32 ``[n_items, n_items]``, from the history's item (row) to the scored item (column).
        share: float32 ``[n_items]``, share of each item in the training events.
    """

    config: EASE

    def __init__(self, config: EASE, weights: Floats, share: Floats) -> None:
        self.config, self.n_items, self.n_users = config, len(share), 0
        self.weights, self.share = weights, share

    def score(self, contexts: Contexts) -> Floats:
        history = history_matrix(contexts.history, self.n_items, self.config.decay, self.config.max_history)
        scores: Floats = history @ self.weights
        scores += _TIE_BREAK * self.share
        return scores

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {"weights": self.weights, "share": self.share}


def closed_form(interactions: sparse.csr_array, l2: float) -> Floats:
    """The weights :math:`B` of :class:`EASE`: float32 ``[n_items, n_items]``.

    With fewer users than items the inverse comes from the smaller users × users system (Woodbury identity).

    Args:
        interactions: 0 and 1, ``[n_users, n_items]``.
        l2: Strength of the ridge, above 0.
    """
    n_users, n_items = interactions.shape
    kind = np.float64 if n_items <= _EXACT else np.float32
    inverse = _dual(interactions, l2, kind) if n_users < n_items else inverse_gram(interactions, l2, kind)
    weights = (inverse / -np.diag(inverse)).astype(np.float32, copy=False)
    np.fill_diagonal(weights, 0.0)
    return weights


def inverse_gram(interactions: sparse.csr_array, l2: float, kind: type[np.floating[Any]]) -> npt.NDArray[Any]:
    """:math:`(X^T X + λI)^{-1}`, symmetric: ``[columns, columns]``.

    Args:
        interactions: Sparse ``[rows, columns]``.
        l2: λ, above 0.
        kind: Precision of the solution.
    """
    gram = (interactions.T @ interactions).toarray().astype(kind)
    gram[np.diag_indices_from(gram)] += l2
    factorise, invert = linalg.get_lapack_funcs(("potrf", "potri"), (gram,))
    # the transposed view of a symmetric matrix is the order that LAPACK works on in place
    factor, _ = factorise(gram.T, lower=True, overwrite_a=True, clean=True)
    lower, _ = invert(factor, lower=True, overwrite_c=True)
    diagonal = np.diag(lower).copy()
    lower += lower.T
    np.fill_diagonal(lower, diagonal)
    return lower  # type: ignore[no-any-return]


def _dual(interactions: sparse.csr_array, l2: float, kind: type[np.floating[Any]]) -> npt.NDArray[Any]:
    dense = interactions.toarray().astype(kind)
    inner = dense @ dense.T
    inner[np.diag_indices_from(inner)] += l2
    half = linalg.solve_triangular(linalg.cholesky(inner, lower=True), dense, lower=True, check_finite=False)
    inverse = half.T @ half
    inverse /= -l2
    inverse[np.diag_indices_from(inverse)] += 1 / l2
    return inverse  # type: ignore[no-any-return]
