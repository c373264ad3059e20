"""Session-aware linear item-to-item model: a closed form that knows the order of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ..data.dataset import Contexts, Split
from ..data.sequences import Sequences
from ..errors import TrainingError
from .base import Floats, ModelConfig, RankingModel

if TYPE_CHECKING:
    from ..knowledge import Knowledge

__all__ = ["SLIST", "SLISTModel"]

_ROWS = 8192
"""Contexts in one sparse product."""


class SLIST(ModelConfig):
    """Ridge regression from every history to the items that follow it, the transition part of SLIST
    (Choi et al. 2021, https://arxiv.org/abs/2103.16104).

    A context is the vector ``x`` with ``(age of the event)^−history_power`` at the items seen, scaled to unit length;
    its target ``y`` has ``horizon_decay^step`` at the next ``horizon`` items, scaled to sum 1. Over all training
    contexts

        ``B = (XᵀX + l2·I)⁻¹ XᵀY``,  scores ``= xᵀB``.

    The parameter is an item-to-item matrix: a strong and large teacher where catalogues have at most some 20,000 items.
    """

    name: ClassVar[str] = "slist"
    has_vectors: ClassVar[bool | None] = False

    l2: float = Field(100.0, gt=0, description="ridge")
    history_power: float = Field(0.5, ge=0, description="how fast older events lose weight")
    horizon: int = Field(10, ge=1, description="following events that count as target")
    horizon_decay: float = Field(0.9, gt=0, le=1)
    max_history: int = Field(100, ge=1, description="events of a history that are read")
    max_items: int = Field(20_000, ge=1, description="refuse larger catalogues: memory grows with their square")

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> SLISTModel:
        if split.n_items > self.max_items:
            raise TrainingError(
                f"slist needs a matrix of {split.n_items:,}² items, the limit is {self.max_items:,}²",
                hint="raise max_items if there is memory for 8 bytes each, or use item-knn",
            )
        return SLISTModel(self, split.n_items, _solve(self, split.train, split.n_items))

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> SLISTModel:
        return SLISTModel(self, n_items, np.asarray(tensors["matrix"]))


class SLISTModel(RankingModel):
    """The fitted matrix of :class:`SLIST`.

    Args:
        matrix: float32 ``[n_items, n_items]``, from seen to following.
    """

    config: SLIST

    def __init__(self, config: SLIST, n_items: int, matrix: Floats) -> None:
        self.config, self.n_items, self.n_users, self.matrix = config, n_items, 0, matrix

    def score(self, contexts: Contexts) -> Floats:
        history = contexts.history.last(self.config.max_history)
        ends = history.offsets[1:]
        return np.asarray(_histories(self.config, history, history.offsets[:-1], ends, self.n_items) @ self.matrix)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {"matrix": self.matrix}


def _solve(config: SLIST, train: Sequences, n_items: int) -> Floats:
    from scipy.linalg import cho_factor, cho_solve

    gram = np.zeros((n_items, n_items), dtype=np.float32)
    cross = np.zeros_like(gram)
    for x, y in _contexts(config, train, n_items):
        _add(gram, x.T @ x)
        _add(cross, x.T @ y)
    gram[np.diag_indices_from(gram)] += config.l2
    factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    return np.ascontiguousarray(cho_solve(factor, cross, overwrite_b=True, check_finite=False), dtype=np.float32)


def _add(total: Floats, part: Any) -> None:
    """Add a sparse matrix without making it dense."""
    part = part.tocoo()
    total[part.row, part.col] += part.data  # a coo product has no index twice


def _contexts(config: SLIST, train: Sequences, n_items: int) -> Iterator[tuple[Any, Any]]:
    """Sparse histories and targets of every training event that has an earlier one, some thousand at a time."""
    from scipy.sparse import csr_matrix

    row = train.row_of_event()
    start, stop = train.offsets[row], train.offsets[row + 1]
    position = np.flatnonzero(np.arange(train.n_events) > start)
    for at in np.array_split(position, max(1, -(-len(position) // _ROWS))):
        x = _histories(config, train, np.maximum(start[at], at - config.max_history), at, n_items)
        step = np.arange(config.horizon)
        index = at[:, None] + step
        real = index < stop[at][:, None]
        value = np.where(real, config.horizon_decay**step, 0.0)
        value = (value / value.sum(1, keepdims=True)).astype(np.float32)
        indptr = np.concatenate(([0], np.cumsum(real.sum(1))))
        yield x, csr_matrix((value[real], train.items[index[real]], indptr), shape=(len(at), n_items))


def _histories(config: SLIST, rows: Sequences, starts: npt.NDArray[Any], ends: npt.NDArray[Any], n_items: int) -> Any:
    """Sparse unit vectors of the events ``starts .. ends-1``: ``[len(starts), n_items]``."""
    from scipy.sparse import csr_matrix

    lengths = ends - starts
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    index = np.arange(indptr[-1]) + np.repeat(starts - indptr[:-1], lengths)
    age = np.repeat(ends, lengths) - index
    value = age.astype(np.float32) ** np.float32(-config.history_power)
    x = csr_matrix((value, rows.items[index], indptr), shape=(len(starts), n_items))
    x.sum_duplicates()
    norm = np.sqrt(np.asarray(x.multiply(x).sum(1)).ravel())
    x.data /= np.repeat(np.maximum(norm, 1e-9), np.diff(x.indptr)).astype(np.float32)
    return x
