"""Matrix factorisation: a vector per user and per item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from ..data.dataset import Contexts, Split
from ..data.sequences import Sequences
from .base import Floats
from .dropout import Dropout
from .neural import NeuralConfig, NeuralModel

if TYPE_CHECKING:
    from ..knowledge import Knowledge

__all__ = ["MF", "MFModel", "fold_in"]


class MF(NeuralConfig):
    """Matrix factorisation (Koren et al. 2009, https://doi.org/10.1109/MC.2009.263), trained on rankings.

    The score is the dot product of user and item vector, plus an item bias. A user without training events, or an
    anonymous one, is folded in: see :meth:`MFModel.fold_in`.
    """

    name: ClassVar[str] = "mf"
    sequential: ClassVar[bool] = False

    dim: int = Field(64, ge=1, description="width of user and item vectors")
    bias: bool = Field(True, description="learn a bias per item")
    dropout: float = Field(0.0, ge=0, lt=1, description="of the user vectors")
    fold_in_l2: float = Field(0.1, gt=0, description="ridge of folding in, relative to the mean squared item length")

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> MFModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = MFModel(self, split.n_items, split.n_users)
        with torch.no_grad():  # no gradient ever reaches them: zero marks the users who must be folded in
            model.users[torch.from_numpy(split.train.lengths == 0)] = 0.0
        return model

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> MFModel:
        model = MFModel(self, n_items, n_users)
        model.load_tensors(tensors)
        return model


class MFModel(NeuralModel):
    """The factors of :class:`MF`."""

    config: MF

    def __init__(self, config: MF, n_items: int, n_users: int) -> None:
        super().__init__(config, n_items, n_users)
        self.users = nn.Parameter(torch.randn(n_users, config.dim) * config.dim**-0.5)
        self.items = nn.Parameter(torch.randn(n_items, config.dim) * config.dim**-0.5)
        self.biases = nn.Parameter(torch.zeros(n_items)) if config.bias else None
        self.dropout = Dropout(config.dropout)

    @property
    def dim(self) -> int:
        return self.config.dim

    def table(self) -> Tensor:
        return self.items

    def bias(self) -> Tensor | None:
        return self.biases

    def states(self, users: Tensor, inputs: Tensor, table: Tensor) -> Tensor:
        vectors = self.dropout(nn.functional.embedding(users, self.users))
        return vectors.unsqueeze(1).expand(-1, inputs.shape[1], -1)  # type: ignore[no-any-return]

    @torch.inference_mode()
    def encode(self, contexts: Contexts) -> Floats:
        learned = self.users.float().cpu().numpy()
        known = contexts.users >= 0
        vectors = np.zeros((len(contexts), self.dim), dtype=np.float32)
        vectors[known] = learned[contexts.users[known]]
        unknown = np.flatnonzero(~vectors.any(axis=1))
        vectors[unknown] = self.fold_in(contexts.history.take(unknown))
        return vectors

    @torch.inference_mode()
    def fold_in(self, history: Sequences) -> Floats:
        """User vectors for histories of users that were not trained, see :func:`fold_in`."""
        return fold_in(self.items.float().cpu().numpy(), history, self.config.fold_in_l2)


def fold_in(vectors: Floats, history: Sequences, l2: float) -> Floats:
    """User vectors from histories alone: float32 ``[len(history), dim]``.

    Ridge regression on the history's item vectors :math:`V`: the vector :math:`u` that minimises
    :math:`|1 - Vu|^2 + λ|u|^2`, with λ relative to the mean squared length of item vectors. An empty history gives
    zeros, which leaves the item biases to rank.

    Args:
        vectors: float32 ``[n_items, dim]``.
        history: Rows of item indices; a repeated item counts once.
        l2: λ, as a multiple of the mean squared length.
    """
    items, dim = vectors.astype(np.float64), vectors.shape[1]
    ridge = l2 * float(np.square(items).sum(axis=1).mean()) * np.eye(dim)
    out = np.zeros((len(history), dim), dtype=np.float32)
    for row in np.flatnonzero(history.lengths):
        seen = items[np.unique(history[int(row)])]
        out[row] = np.linalg.solve(seen.T @ seen + ridge, seen.sum(axis=0))
    return out
