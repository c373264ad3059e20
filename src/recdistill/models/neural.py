"""Base of the models that are trained by gradient: batches in, hidden states at labelled positions out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..data.dataset import Contexts
from .base import Floats, ModelConfig, VectorModel

__all__ = ["Batch", "NeuralConfig", "NeuralModel"]

_GROUP = 512
"""Histories that are encoded at a time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of training sequences, left-aligned and padded; or users, for models that read no histories.

    Attributes:
        users: int64 ``[rows]``.
        inputs: int64 ``[rows, length]``, item indices; ``n_items`` is padding.
        at: int64 ``[n]``, flat index (row * length + column) of each context: a place where something is ranked.
        positions: int64 ``[n]``, the position of each context in the training events, which is the key of stored
            knowledge: that of an event, or ``n_events + r`` where the whole row ``r`` lies before it.
        labels: int64 ``[n, m]``, what is right there: the item that followed, or all items of a user; -1 for none.
        weights: float32 ``[n, m]``, weight of each label in the loss; 0 for none.
    """

    users: Tensor
    inputs: Tensor
    at: Tensor
    positions: Tensor
    labels: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        fields = (self.users, self.inputs, self.at, self.positions, self.labels, self.weights)
        return Batch(*(field.to(device, non_blocking=True) for field in fields))


class NeuralConfig(ModelConfig):
    """Parameters of a trained model."""

    trained: ClassVar[bool] = True
    has_vectors: ClassVar[bool | None] = True
    sequential: ClassVar[bool] = True
    """True if it reads histories; False if it only knows users by index (then each user is one context)."""

    max_length: int = 1
    """Longest history that is read, in events."""


class NeuralModel(nn.Module, VectorModel):
    """A trained model: hidden states and item vectors of the same width, score = dot product plus bias.

    Args:
        config: Its parameters.
        n_items: Catalogue size; index ``n_items`` is padding.
        n_users: Number of users.
    """

    def __init__(self, config: NeuralConfig, n_items: int, n_users: int) -> None:
        super().__init__()
        self.config, self.n_items, self.n_users = config, n_items, n_users

    __repr__ = VectorModel.__repr__  # not the tree of modules, which has neither tables nor sizes

    @property
    @abstractmethod
    def dim(self) -> int:
        """Width of hidden states and item vectors."""

    @abstractmethod
    def states(self, users: Tensor, inputs: Tensor, table: Tensor) -> Tensor:
        """Hidden state behind every place of the inputs: float ``[rows, length, dim]``.

        Args:
            users: int64 ``[rows]``.
            inputs: int64 ``[rows, length]``, padded on the right with ``n_items``.
            table: What :meth:`table` returned, so that it is computed once a step.
        """

    @abstractmethod
    def table(self) -> Tensor:
        """Item vectors: float ``[n_items, dim]``."""

    def bias(self) -> Tensor | None:
        """Item biases: float ``[n_items]``, or None."""
        return None

    def hidden(self, batch: Batch, table: Tensor) -> Tensor:
        """Hidden states at the labelled places of a batch: float ``[n, dim]``."""
        states = self.states(batch.users, batch.inputs, table)
        return states.reshape(-1, states.shape[-1]).index_select(0, batch.at)

    @torch.inference_mode()
    def encode(self, contexts: Contexts) -> Floats:
        was_training = self.training
        self.eval()
        table = self.table()
        length = self.config.max_length  # type: ignore[attr-defined]
        inputs = torch.from_numpy(contexts.history.padded(length, self.n_items))
        users = torch.from_numpy(contexts.users.astype(np.int64))
        counts = torch.from_numpy(np.minimum(contexts.history.lengths, length))
        vectors = torch.zeros(len(users), self.dim)
        for rows in _of_like_length(counts):
            width = max(int(counts[rows].max()), 1)
            states = self.states(users[rows].to(table.device), inputs[rows, :width].to(table.device), table)
            last = states[torch.arange(len(rows)), (counts[rows] - 1).clamp_min(0)]
            vectors[rows] = last.float().cpu()
        self.train(was_training)
        return vectors.numpy()

    @torch.inference_mode()
    def item_vectors(self) -> Floats:
        was_training = self.training
        self.eval()
        table = self.table().float().cpu().numpy()
        self.train(was_training)
        return np.ascontiguousarray(table)

    @torch.inference_mode()
    def item_bias(self) -> Floats | None:
        bias = self.bias()
        return None if bias is None else np.ascontiguousarray(bias.float().cpu().numpy())

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {name: value.detach().float().cpu().numpy() for name, value in self.state_dict().items()}

    @property
    def n_parameters(self) -> int:
        """Trainable and frozen numbers that are needed to score."""
        return sum(value.numel() for value in self.state_dict().values())

    def load_tensors(self, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over saved weights."""
        self.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()})


def _of_like_length(lengths: Tensor) -> Iterator[Tensor]:
    """Rows in groups of at most ``_GROUP``, shortest first, so that few of the places a group computes are padding."""
    return iter(torch.split(lengths.argsort(stable=True), _GROUP)) if len(lengths) else iter(())
