"""Items whose text lies near the history's: the model that knows items nobody has bought yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ..data.dataset import Contexts, Split
from .base import Floats, ModelConfig, VectorModel
from .item_knn import history_matrix
from .text import item_text

if TYPE_CHECKING:
    from ..knowledge import Knowledge

__all__ = ["TextKNN", "TextKNNModel"]


class TextKNN(ModelConfig):
    """Nearest items in the space of a text encoder.

    The context vector is the mean of the history's whitened, unit-length embeddings, weighted by recency; the score is
    its cosine similarity with an item, up to the length of the context vector. No interaction is looked at.
    """

    name: ClassVar[str] = "text-knn"
    has_vectors: ClassVar[bool | None] = True

    text: str = Field("all", description="teacher whose item embeddings are used; 'all' joins those of every teacher")
    decay: float = Field(0.7, gt=0, le=1, description="weight of a history's event relative to the next newer one")
    max_history: int = Field(50, ge=1, description="newest events of a history that are used")

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> TextKNNModel:
        """Whiten the embeddings.

        Raises:
            KnowledgeError: There are no item embeddings by that teacher.
        """
        vectors = item_text(knowledge, self.text)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return TextKNNModel(self, vectors / np.maximum(lengths, 1e-12))

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> TextKNNModel:
        return TextKNNModel(self, tensors["vectors"])


class TextKNNModel(VectorModel):
    """Fitted :class:`TextKNN`.

    Args:
        vectors: float32 ``[n_items, any]``, of unit length.
    """

    config: TextKNN

    def __init__(self, config: TextKNN, vectors: npt.NDArray[Any]) -> None:
        self.config, self.n_items, self.n_users = config, len(vectors), 0
        self.vectors: Floats = vectors

    def encode(self, contexts: Contexts) -> Floats:
        history = history_matrix(contexts.history, self.n_items, self.config.decay, self.config.max_history)
        total = np.maximum(history.sum(axis=1), 1e-12)
        return (history @ self.vectors / total[:, None]).astype(np.float32)  # type: ignore[no-any-return]

    def item_vectors(self) -> Floats:
        return self.vectors

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {"vectors": self.vectors}
