"""What all networks over a history share: tied item vectors, optionally with text embeddings inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from ..data.dataset import Split
from ..errors import ConfigError
from .dropout import Dropout
from .neural import NeuralConfig, NeuralModel
from .slim import fit_shapes
from .text import NullSpaceFusion, TextFusion, TextOnly, item_text

if TYPE_CHECKING:
    from ..knowledge import Knowledge

__all__ = ["AttentionBlock", "AttentionConfig", "AttentionModel", "SequenceConfig", "SequenceModel"]


class SequenceConfig(NeuralConfig):
    """Parameters of a network over the history."""

    dim: int = Field(64, ge=1, description="width of item vectors and hidden states")
    max_length: int = Field(50, ge=1, description="longest history read, in events")
    dropout: float = Field(0.2, ge=0, lt=1)
    text: str | None = Field(
        None, description="teacher whose item embeddings or vectors go inside; 'all' joins those of all encoders"
    )
    fusion: Literal["sum", "null-space", "text-only"] = Field(
        "sum",
        description="how: added to free vectors through a learned map, free vectors only where texts say little, or no "
        "free vectors",
    )
    semantic: int | None = Field(
        None, ge=0, description="null-space: leading components that stay as the texts have them; None: half of dim"
    )

    @model_validator(mode="after")
    def _fusion_fits(self) -> SequenceConfig:
        if self.fusion == "null-space" and self.text in (None, "all"):
            hint = "name an encoder with text"
            raise ConfigError("null-space fusion needs the embeddings of one teacher", key=("fusion",), hint=hint)
        if self.fusion == "text-only" and self.text is None:
            hint = "name an encoder with text"
            raise ConfigError("text-only fusion needs the embeddings of a teacher", key=("fusion",), hint=hint)
        if self.semantic is not None and (self.fusion != "null-space" or self.semantic >= self.dim):
            hint = "it goes with fusion: null-space, and leaves room for free vectors"
            raise ConfigError(f"semantic={self.semantic} of dim={self.dim}", key=("semantic",), hint=hint)
        return self

    def fused(
        self, items: nn.Parameter, vectors: npt.NDArray[Any] | None
    ) -> tuple[nn.Parameter, TextFusion | TextOnly | NullSpaceFusion | None]:
        """Free item vectors in the form that the fusion wants, and the fusion, if there are text embeddings.

        Args:
            items: float ``[n_items, dim]``.
            vectors: float ``[n_items, any]`` or None.
        """
        if vectors is None:
            return items, None
        if self.fusion == "sum":
            return items, TextFusion(vectors, self.dim)
        if self.fusion == "text-only":
            return nn.Parameter(torch.zeros(len(items), 0), requires_grad=False), TextOnly(vectors, self.dim)
        found = NullSpaceFusion(vectors, self.dim, self.dim // 2 if self.semantic is None else self.semantic)
        return nn.Parameter(torch.zeros(len(items), found.free)), found

    @abstractmethod
    def network(self, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None) -> NeuralModel:
        """The model with initial weights; ``vectors`` are text embeddings, float ``[n_items, any]``, or None."""

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> NeuralModel:
        vectors = item_text(knowledge, self.text) if self.text else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.network(split.n_items, split.n_users, vectors)

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> NeuralModel:
        vectors = tensors.get("fusion.vectors")
        model = self.network(n_items, n_users, None if vectors is None else np.asarray(vectors))
        fit_shapes(model, tensors)
        model.load_tensors(tensors)
        return model


class SequenceModel(NeuralModel):
    """A network that is fed scaled item vectors and whose states are compared with the same vectors.

    After compression the item vectors may be narrower than the network: ``enter`` then maps them to its width, and
    ``leave`` its states to theirs.

    Args:
        config: Its parameters.
        n_items: Catalogue size.
        n_users: Number of users.
        vectors: float ``[n_items, any]``, text embeddings that are mapped into the item vectors, or None.
        places: Learned position vectors; 0 for none.
    """

    config: SequenceConfig

    def __init__(
        self, config: SequenceConfig, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None, places: int = 0
    ) -> None:
        super().__init__(config, n_items, n_users)
        self.items = nn.Parameter(torch.randn(n_items, config.dim) * config.dim**-0.5)
        if places:
            self.place = nn.Parameter(torch.randn(places, config.dim) * 0.02)
        self.items, self.fusion = config.fused(self.items, vectors)
        self.norm = nn.LayerNorm(config.dim)
        self.enter: nn.Parameter | None
        self.leave: nn.Parameter | None
        self.register_parameter("enter", None)  # [width of item vectors, dim]
        self.register_parameter("leave", None)  # [dim, width of item vectors]

    @property
    def dim(self) -> int:
        return self.items.shape[1] if self.fusion is None else self.config.dim

    def table(self) -> Tensor:
        return self.items if self.fusion is None else self.fusion(self.items)

    def states(self, users: Tensor, inputs: Tensor, table: Tensor) -> Tensor:
        # padding lies on the right and no state looks there, so it can hold any vector
        vectors = functional.embedding(inputs.clamp_max(self.n_items - 1), table)
        if self.enter is not None:
            vectors = vectors @ self.enter
        states = self.run(vectors * self.config.dim**0.5)
        return states if self.leave is None else states @ self.leave

    @abstractmethod
    def run(self, vectors: Tensor) -> Tensor:
        """States from scaled item vectors, float ``[rows, length, dim]`` both; what a bundle's encoder computes."""


class AttentionConfig(SequenceConfig):
    """Parameters of blocks of attention."""

    blocks: int = Field(2, ge=0, description="attention blocks")
    heads: int = Field(2, ge=1, description="attention heads; must divide dim unless their width is given")
    head_width: int | None = Field(
        None, ge=1, description="width of an attention head; None: dim / heads", exclude_if=lambda width: width is None
    )
    embedding_dropout: float | None = Field(
        None, ge=0, lt=1, description="of the input vectors; None: the same as dropout"
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> AttentionConfig:
        if self.head_width is None and self.dim % self.heads:
            raise ConfigError(f"heads={self.heads} does not divide dim={self.dim}", key=("heads",))
        return self

    @property
    def width(self) -> int:
        """Width of an attention head."""
        return self.head_width or self.dim // self.heads


class AttentionBlock(nn.Module, ABC):
    """A block of attention: float ``[rows, length, dim]`` to the same."""

    @property
    @abstractmethod
    def projection(self) -> nn.Module:
        """The part that projects the input to queries, keys and values."""

    @abstractmethod
    def queries_keys_values(self, projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three, float ``[rows, length, dim]`` each, heads side by side, from what the projection returned."""


class AttentionModel(SequenceModel):
    """Position vectors are added to the input, blocks of attention follow, a norm ends it.

    Args:
        config: Its parameters.
        n_items: Catalogue size.
        n_users: Number of users.
        vectors: See :class:`SequenceModel`.
    """

    config: AttentionConfig

    def __init__(
        self, config: AttentionConfig, n_items: int, n_users: int, vectors: npt.NDArray[Any] | None = None
    ) -> None:
        super().__init__(config, n_items, n_users, vectors, places=config.max_length)
        self.blocks = nn.ModuleList(self.block() for _ in range(config.blocks))
        self.dropout = Dropout(config.dropout if config.embedding_dropout is None else config.embedding_dropout)

    @abstractmethod
    def block(self) -> AttentionBlock:
        """One block with initial weights."""

    def run(self, vectors: Tensor) -> Tensor:
        x = self.dropout(vectors + self.place[: vectors.shape[1]])
        for block in self.blocks:
            x = block(x)
        return self.norm(x)  # type: ignore[no-any-return]
