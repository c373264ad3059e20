"""A model seen through a head of its own: what one of several tasks makes of an encoder that they share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from ..data.dataset import Contexts, Split
from ..errors import ConfigError
from ..registry import component_field
from . import MODELS
from .base import Floats
from .neural import Batch, NeuralConfig, NeuralModel

if TYPE_CHECKING:
    from ..knowledge import Knowledge
    from .base import ModelConfig as Model
else:
    Model = component_field(MODELS)

__all__ = ["Headed", "HeadedModel"]


class Headed(NeuralConfig):
    """Another model's states through a linear map ``W h + b``, its item vectors as they are.

    The map begins as the identity. Training with further tasks makes one such model for each of them: all share the
    encoder and the item vectors.
    """

    name: ClassVar[str] = "headed"

    model: Model = Field(description="any trained model")

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        if not isinstance(self.model, NeuralConfig):
            raise ConfigError(f"{self.model.name} has no states to put a head on", key=("model",))
        object.__setattr__(self, "max_length", self.model.max_length)

    @property
    def sequential(self) -> bool:  # type: ignore[override]
        """As the model."""
        return bool(getattr(self.model, "sequential", True))

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> HeadedModel:
        inner = self.model.build(split, knowledge, seed)
        assert isinstance(inner, NeuralModel)
        return HeadedModel(self, inner)

    def over(self, inner: NeuralModel) -> HeadedModel:
        """The head on a model that is there already, and shared."""
        return HeadedModel(self, inner)

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> HeadedModel:
        own = {name.removeprefix("inner."): value for name, value in tensors.items() if name.startswith("inner.")}
        inner = self.model.restore(n_items, n_users, own)
        assert isinstance(inner, NeuralModel)
        model = HeadedModel(self, inner)
        model.load_tensors(tensors)
        return model


class HeadedModel(NeuralModel):
    """The model of :class:`Headed`.

    Args:
        config: Its parameters.
        inner: The model behind the head; shared, not copied.
    """

    config: Headed

    def __init__(self, config: Headed, inner: NeuralModel) -> None:
        super().__init__(config, inner.n_items, inner.n_users)
        self.inner, self.head = inner, nn.Linear(inner.dim, inner.dim)
        with torch.no_grad():
            self.head.weight.copy_(torch.eye(inner.dim))
            self.head.bias.zero_()

    @property
    def dim(self) -> int:
        return self.inner.dim

    def table(self) -> Tensor:
        return self.inner.table()

    def bias(self) -> Tensor | None:
        return self.inner.bias()

    def states(self, users: Tensor, inputs: Tensor, table: Tensor) -> Tensor:
        return self.head(self.inner.states(users, inputs, table))  # type: ignore[no-any-return]

    def hidden(self, batch: Batch, table: Tensor) -> Tensor:
        return self.head(self.inner.hidden(batch, table))  # type: ignore[no-any-return]

    @torch.inference_mode()
    def encode(self, contexts: Contexts) -> Floats:
        vectors = torch.from_numpy(self.inner.encode(contexts)).to(self.head.weight.device)
        return np.ascontiguousarray(self.head(vectors.to(self.head.weight.dtype)).float().cpu().numpy())
