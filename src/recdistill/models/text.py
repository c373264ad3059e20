"""Text embeddings inside a recommender: where they come from and how they become item vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..errors import KnowledgeError
from ..knowledge import WeightsStore

if TYPE_CHECKING:
    from ..knowledge import Knowledge

__all__ = ["NullSpaceFusion", "TextFusion", "TextOnly", "item_text", "shared_space", "whiten"]


class TextFusion(nn.Module):
    """Free item vectors plus a learned linear map of frozen text embeddings.

    Args:
        vectors: float ``[n_items, any]``, already normalised.
        dim: Width of the item vectors.
    """

    vectors: Tensor

    def __init__(self, vectors: npt.NDArray[Any], dim: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.from_numpy(np.array(vectors, dtype=np.float32)))
        self.map = nn.Linear(vectors.shape[1], dim, bias=False)
        self.free = dim
        """Width of the free vectors."""

    def forward(self, items: Tensor) -> Tensor:
        """Item vectors from free ones: float ``[n_items, free]`` to ``[n_items, dim]``."""
        return items + self.map(self.vectors)  # type: ignore[no-any-return]


class TextOnly(nn.Module):
    """A learned linear map of frozen text embeddings and nothing else: all that is known of an item is its text.

    The weights then fit any catalogue whose texts lie in the same space (ZESRec, Ding et al. 2021,
    https://arxiv.org/abs/2105.08318).

    Args:
        vectors: float ``[n_items, any]``, already normalised.
        dim: Width of the item vectors.
    """

    vectors: Tensor
    free = 0
    """Width of the free vectors."""

    def __init__(self, vectors: npt.NDArray[Any], dim: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.from_numpy(np.array(vectors, dtype=np.float32)))
        self.map = nn.Linear(vectors.shape[1], dim, bias=False)

    def forward(self, items: Tensor) -> Tensor:
        """Item vectors: float ``[n_items, dim]``; ``items``, float ``[n_items, 0]``, says nothing."""
        return self.map(self.vectors)  # type: ignore[no-any-return]


class NullSpaceFusion(nn.Module):
    """Frozen text embeddings, and free vectors only where the texts differ little.

    The leading ``semantic`` principal components of the texts stay as they are; free vectors, which begin at zero, are
    added to the following ones, in which there is little to lose. AlphaFuse (Hu et al. 2025,
    https://arxiv.org/abs/2504.19218).

    Args:
        vectors: float ``[n_items, any]``, whitened, leading components first.
        dim: Width of the item vectors.
        semantic: Components without free vectors, below ``dim``.
    """

    vectors: Tensor

    def __init__(self, vectors: npt.NDArray[Any], dim: int, semantic: int) -> None:
        super().__init__()
        own: npt.NDArray[np.float32] = np.zeros((len(vectors), dim), dtype=np.float32)
        own[:, : vectors.shape[1]] = vectors[:, :dim] * (vectors.shape[1] / min(dim, vectors.shape[1])) ** 0.5
        self.register_buffer("vectors", torch.from_numpy(own))
        self.free = dim - semantic

    def forward(self, items: Tensor) -> Tensor:
        """Item vectors from free ones: float ``[n_items, free]`` to ``[n_items, dim]``."""
        return self.vectors + nn.functional.pad(items, (self.vectors.shape[1] - self.free, 0))


def item_text(knowledge: Knowledge | None, teacher: str) -> npt.NDArray[np.float32]:
    """Whitened item embeddings of one teacher, or of all encoders side by side (``teacher="all"``).

    Those of a recommender are the item vectors that it left with its weights.

    Returns:
        float32 ``[n_items, width]``.

    Raises:
        KnowledgeError: There are no item embeddings by that teacher.
    """
    if knowledge is None:
        raise KnowledgeError("this model needs item embeddings inside", hint="teach with a text or LLM encoder first")
    recommender = next(
        (s for s in knowledge.stores if isinstance(s, WeightsStore) and s.manifest.teacher == teacher), None
    )
    if recommender is not None:
        return whiten(np.asarray(recommender.tensors()["items"]))
    stores = knowledge.embeddings(None if teacher == "all" else teacher)
    return np.concatenate([whiten(store.all()) for store in stores], axis=1)


def shared_space(source: npt.NDArray[Any], target: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Embeddings of two catalogues by one encoder, so that a map learned on one is good for the other.

    Each catalogue is centred on its own mean, so that what all its items share, books or films, is no direction; then
    both are scaled by one number to a mean squared length of 1. They are not whitened: of a catalogue with fewer items
    than components that makes every item the same distance from all others, and what texts have in common is lost.

    Args:
        source: float ``[n, width]``.
        target: float ``[m, width]``.

    Returns:
        float32 ``[n, width]`` and ``[m, width]``.
    """
    centred = [np.asarray(vectors, dtype=np.float64) - np.mean(vectors, axis=0) for vectors in (source, target)]
    length = np.sqrt(np.mean(np.square(np.concatenate(centred)).sum(axis=1))) or 1.0
    one, other = ((vectors / length).astype(np.float32) for vectors in centred)
    return one, other


def whiten(vectors: npt.NDArray[Any], dim: int = 256) -> npt.NDArray[np.float32]:
    """Centre, rotate to principal components, give each unit variance, and scale rows to about unit length.

    Raw sentence embeddings fill a narrow cone, so that all items look alike; whitening spreads them
    (Su et al. 2021, https://arxiv.org/abs/2103.15316).

    Args:
        vectors: float ``[n, width]``.
        dim: At most this many components are kept.

    Returns:
        float32 ``[n, min(dim, width, n)]``.
    """
    centred = np.asarray(vectors, dtype=np.float64)
    centred = centred - centred.mean(axis=0)
    values, basis = np.linalg.eigh(centred.T @ centred / max(len(centred), 1))
    order = np.argsort(values)[::-1][: min(dim, len(centred))]
    spread = np.sqrt(np.maximum(values[order], 1e-4 * values.max(initial=1e-12)))
    white = centred @ basis[:, order] / spread
    scaled: npt.NDArray[np.float32] = (white / np.sqrt(white.shape[1])).astype(np.float32)
    return scaled
