"""The most popular items first, for everybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ..data.dataset import Contexts, Split
from ..errors import DataError
from .base import Floats, ModelConfig, VectorModel

if TYPE_CHECKING:
    from ..knowledge import Knowledge

__all__ = ["Popularity", "PopularityModel"]

_DAY = 86_400_000
"""Milliseconds."""


class Popularity(ModelConfig):
    """Items by their number of training events, which may count less the older they are.

    The score of an item is ``log(1 + Σ 2^(-age / half_life))``, so that a softmax over the scores is the item's
    smoothed share of the events.
    """

    name: ClassVar[str] = "popularity"
    has_vectors: ClassVar[bool | None] = True

    half_life_days: float | None = Field(None, gt=0, description="age at which an event counts half; None: all count 1")

    def build(self, split: Split, knowledge: Knowledge | None = None, seed: int = 0) -> PopularityModel:
        """Count.

        Raises:
            DataError: ``half_life_days`` is set and the log has no times.
        """
        counts = np.bincount(split.train.items, self._weights(split), minlength=split.n_items)
        return PopularityModel(self, np.log1p(counts).astype(np.float32))

    def restore(self, n_items: int, n_users: int, tensors: Mapping[str, npt.NDArray[Any]]) -> PopularityModel:
        return PopularityModel(self, tensors["log_counts"])

    def _weights(self, split: Split) -> npt.NDArray[np.float64] | None:
        if self.half_life_days is None:
            return None
        if split.train.times is None:
            raise DataError(
                "popularity with half_life_days needs times, the log has none", hint="leave half_life_days out"
            )
        age = (split.train.times.max(initial=0) - split.train.times) / _DAY
        return np.exp2(-age / self.half_life_days)  # type: ignore[no-any-return]


class PopularityModel(VectorModel):
    """Fitted :class:`Popularity`: an item vector of one number, and 1 for every context.

    Args:
        log_counts: float32 ``[n_items]``.
    """

    def __init__(self, config: Popularity, log_counts: npt.NDArray[Any]) -> None:
        self.config, self.n_items, self.n_users = config, len(log_counts), 0
        self.log_counts: Floats = log_counts

    def encode(self, contexts: Contexts) -> Floats:
        return np.ones((len(contexts), 1), dtype=np.float32)

    def item_vectors(self) -> Floats:
        return self.log_counts[:, None]

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {"log_counts": self.log_counts}
