"""Matrix factorisation whose vectors are spread over the graph of users and items."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor, nn

from ..data.dataset import Contexts, Split
from .base import Floats
from .dropout import Dropout
from .item_knn import history_matrix
from .mf import fold_in
from .neural import NeuralConfig, NeuralModel

if TYPE_CHECKING:
    from ..knowledge import Knowledge

__all__ = ["LightGCN", "LightGCNModel"]


class LightGCN(NeuralConfig):
    """Light graph convolution (He et al. 2020, https://arxiv.org/abs/2002.02126).

    With :math:`E_0` the free vectors of users and items one below the other, and :math:`Â_{uv} = 1 / \\sqrt{d_u d_v}`
    for each pair of a user and an item that occur together in training (:math:`d` their numbers of neighbours), the
    final vectors are the mean of :math:`E_0, ÂE_0, …, Â^K E_0`. The score is a dot product. It costs what matrix
    factorisation costs once it is trained. A user without training events, or an anonymous one, is folded in as in
    ``mf``.
    """

    name: ClassVar[str] = "lightgcn"
    sequential: ClassVar[bool] = False

    dim: int = Field(64, ge=1, description="width of user and item vectors")
    layers: int = Field(3, ge=0, description="steps over the graph; 0 is matrix factorisation without bias")
    dropout: float = Field(0.0, ge=0, lt=1, description="of the final user vectors")
    fold_in_l2: float = Field(0.1, gt=0, description="ridge of folding in, relative to the mean squared item length")

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> LightGCNModel:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = LightGCNModel(self, history_matrix(split.train, split.n_items))
        with torch.no_grad():  # no gradient ever reaches them: zero marks the users who must be folded in
            model.users[torch.from_numpy(split.train.lengths == 0)] = 0.0
        return model

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> LightGCNModel:
        own = dict(tensors)
        offsets, columns = own.pop("graph.offsets"), own.pop("graph.columns")
        once = np.ones(len(columns), dtype=np.float32)
        model = LightGCNModel(self, sparse.csr_array((once, columns, offsets), shape=(n_users, n_items)))
        model.load_tensors(own)
        return model


class LightGCNModel(NeuralModel):
    """The free vectors and the graph of :class:`LightGCN`.

    Args:
        pairs: 1 where a user has trained with an item: ``[n_users, n_items]``.
    """

    config: LightGCN
    graph_offsets: Tensor
    graph_columns: Tensor
    graph_values: Tensor

    def __init__(self, config: LightGCN, pairs: sparse.csr_array) -> None:
        n_users, n_items = pairs.shape
        super().__init__(config, n_items, n_users)
        self.pairs = pairs
        self.users = nn.Parameter(torch.randn(n_users, config.dim) * config.dim**-0.5)
        self.items = nn.Parameter(torch.randn(n_items, config.dim) * config.dim**-0.5)
        for name, part in _normalised(pairs).items():  # what is learned does not contain it: it follows from the pairs
            self.register_buffer(f"graph_{name}", torch.from_numpy(part), persistent=False)
        self.dropout = Dropout(config.dropout)
        self._latest: tuple[Tensor, Tensor] | None = None

    @property
    def dim(self) -> int:
        return self.config.dim

    def spread(self) -> tuple[Tensor, Tensor]:
        """Final vectors of users and of items: float ``[n_users, dim]``, ``[n_items, dim]``."""
        with torch.autocast(self.users.device.type, enabled=False):  # sparse products know float32 only
            graph = _matrix(self.graph_offsets, self.graph_columns, self.graph_values)
            total = step = torch.cat([self.users, self.items])
            for _ in range(self.config.layers):
                step = _Spread.apply(graph, step)  # type: ignore[no-untyped-call]
                total = total + step
        mean = total / (self.config.layers + 1)
        return mean[: self.n_users], mean[self.n_users :]

    def table(self) -> Tensor:
        users, items = self.spread()
        self._latest = items, users  # so that states of the same step need not spread again
        return items

    def states(self, users: Tensor, inputs: Tensor, table: Tensor) -> Tensor:
        latest = self._latest
        final = latest[1] if latest is not None and latest[0] is table else self.spread()[0]
        vectors = self.dropout(nn.functional.embedding(users, final))
        return vectors.unsqueeze(1).expand(-1, inputs.shape[1], -1)  # type: ignore[no-any-return]

    @torch.inference_mode()
    def encode(self, contexts: Contexts) -> Floats:
        users, items = (vectors.float().cpu().numpy() for vectors in self.spread())
        known = contexts.users >= 0
        vectors = np.zeros((len(contexts), self.dim), dtype=np.float32)
        vectors[known] = users[contexts.users[known]]
        unknown = np.flatnonzero(~vectors.any(axis=1))
        vectors[unknown] = fold_in(items, contexts.history.take(unknown), self.config.fold_in_l2)
        return vectors

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return super().tensors() | {"graph.offsets": self.pairs.indptr, "graph.columns": self.pairs.indices}

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over: all but the vectors of the latest step, which belong to its gradient."""
        return {**self.__dict__, "_latest": None}


class _Spread(torch.autograd.Function):
    """A product with a constant symmetric sparse matrix, whose gradient is a product with the same matrix."""

    @staticmethod
    def forward(ctx: Any, graph: Tensor, vectors: Tensor) -> Tensor:
        ctx.graph = graph
        return graph @ vectors

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, Tensor]:
        return None, ctx.graph @ upstream


def _matrix(offsets: Tensor, columns: Tensor, values: Tensor) -> Tensor:
    """A square sparse matrix; made anew each time, for torch can neither copy nor save one."""
    size = (len(offsets) - 1,) * 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(offsets, columns, values, size=size, check_invariants=False)


def _normalised(pairs: sparse.csr_array) -> dict[str, npt.NDArray[Any]]:
    """:math:`Â` of :class:`LightGCN` in compressed rows: ``offsets``, ``columns``, ``values``."""
    graph = sparse.block_array([[None, pairs], [pairs.T, None]], format="csr")
    rows = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    degree = np.diff(graph.indptr).astype(np.float64)
    values = 1 / np.sqrt(degree[rows] * degree[graph.indices])
    offsets, columns = graph.indptr.astype(np.int64), graph.indices.astype(np.int64)
    return {"offsets": offsets, "columns": columns, "values": values.astype(np.float32)}
