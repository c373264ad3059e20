"""EASE without its items × items matrix: large catalogues with few users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import sparse

from ..data.dataset import Contexts, Split
from ..errors import ConfigError
from .base import Floats, ModelConfig, RankingModel
from .ease import inverse_gram
from .item_knn import history_matrix

if TYPE_CHECKING:
    from ..knowledge import Knowledge

__all__ = ["DualEASE", "DualEASEModel"]

_EXACT = 5_000
"""Users up to which the system is solved in double precision."""
_COLUMNS = 1024
"""Items whose diagonal entries are computed at a time."""
_SPARSE = 1 / 25
"""Share of the users that a history has items in common with, below which a sparse product is quicker than a dense."""
_TIE_BREAK = 1e-6
"""Weight of popularity: orders the items of an empty history, too small to move any other."""


class DualEASE(ModelConfig):
    """The scores of :class:`EASE` (Steck 2019, https://arxiv.org/abs/1905.03375) through the users × users system.

    With :math:`M = (XX^T + λI)^{-1}` the Woodbury identity gives :math:`P = (I - X^T M X) / λ`, and with
    :math:`q = diag(X^T M X)` the scores of a history :math:`x` are :math:`(x X^T M X - x ∘ q) / (1 - q)`. Memory grows
    with the square of the users that have training events instead of the items.
    """

    name: ClassVar[str] = "dual-ease"
    has_vectors: ClassVar[bool | None] = False

    l2: float = Field(200.0, gt=0, description="strength of the ridge; more for logs with more events per item")
    decay: float = Field(0.9, gt=0, le=1, description="weight of a history's event relative to the next newer one")
    max_history: int = Field(200, ge=1, description="newest events of a history that are used")
    max_users: int = Field(20_000, ge=1, description="refuse logs beyond this: memory grows with its square")

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> DualEASEModel:
        """Solve.

        Raises:
            ConfigError: More than ``max_users`` users have training events.
        """
        users = np.flatnonzero(split.train.lengths)
        if len(users) > self.max_users:
            size = len(users) ** 2 * 4 / 2**30
            raise ConfigError(
                f"dual-ease needs a dense matrix of {len(users):,} x {len(users):,} users ({size:.1f} GiB)",
                key=("max_users",),
                hint=f"use ease or item-knn, or raise max_users (now {self.max_users:,})",
            )
        known = history_matrix(split.train.take(users), split.n_items)
        kind = np.float64 if len(users) <= _EXACT else np.float32
        inverse = np.ascontiguousarray(inverse_gram(known.T.tocsr(), self.l2, kind), dtype=np.float32)
        share = (split.popularity / max(split.popularity.sum(), 1)).astype(np.float32)
        return DualEASEModel(self, known, inverse, _diagonal(known, inverse), share)

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> DualEASEModel:
        parts = (tensors["values"], tensors["columns"], tensors["offsets"])
        known = sparse.csr_array(parts, shape=(len(tensors["inverse"]), n_items))
        return DualEASEModel(self, known, tensors["inverse"], tensors["diagonal"], tensors["share"])


class DualEASEModel(RankingModel):
    """Fitted :class:`DualEASE`.

    Args:
        known: float32 ``[users, n_items]``, 1 where a user has trained with an item.
        inverse: float32 ``[users, users]``, :math:`M`.
        diagonal: float32 ``[n_items]``, :math:`q`, in 0..1.
        share: float32 ``[n_items]``, share of each item in the training events.
    """

    config: DualEASE

    def __init__(
        self, config: DualEASE, known: sparse.csr_array, inverse: Floats, diagonal: Floats, share: Floats
    ) -> None:
        self.config, self.n_items, self.n_users = config, len(share), 0
        self.known, self.inverse, self.diagonal, self.share = known, inverse, diagonal, share

    def score(self, contexts: Contexts) -> Floats:
        history = history_matrix(contexts.history, self.n_items, self.config.decay, self.config.max_history)
        shared = history @ self.known.T
        few = shared.nnz < _SPARSE * shared.shape[0] * shared.shape[1]
        alike = (shared if few else shared.toarray()) @ self.inverse
        scores: Floats = (self.known.T @ alike.T).T
        row, column = np.repeat(np.arange(len(contexts)), np.diff(history.indptr)), history.indices
        scores[row, column] -= history.data * self.diagonal[column]
        scores /= 1 - self.diagonal
        scores += _TIE_BREAK * self.share
        return np.ascontiguousarray(scores)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        known = self.known
        found = {"values": known.data, "columns": known.indices, "offsets": known.indptr}
        return found | {"inverse": self.inverse, "diagonal": self.diagonal, "share": self.share}


def _diagonal(known: sparse.csr_array, inverse: Floats) -> Floats:
    """``diag(Xᵀ M X)``, some columns of X at a time: float32 ``[n_items]``."""
    out = np.zeros(known.shape[1], dtype=np.float32)
    columns = known.tocsc()
    for start in range(0, len(out), _COLUMNS):
        part = columns[:, start : start + _COLUMNS]
        weighted = (part.T @ inverse).T  # the inverse is symmetric
        out[start : start + _COLUMNS] = np.asarray(part.multiply(weighted).sum(axis=0)).ravel()
    return out
