"""Magnitude pruning of an item-to-item matrix."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ...errors import ConfigError
from ...models.neural import NeuralModel
from ..candidate import Candidate, Workshop
from .base import Step

__all__ = ["PruneNeighbours"]


class PruneNeighbours(Step):
    """Of each row of an item-to-item matrix only the largest entries stay: for EASE, SLIST, item-kNN and their kin."""

    name: ClassVar[str] = "prune-neighbours"

    neighbours: int = Field(50, ge=1, description="entries that stay in each row")

    def check(self, candidate: Candidate) -> None:
        if isinstance(candidate.model, NeuralModel):
            what = f"{candidate.model.config.name} has vectors and no neighbours to prune"
            raise ConfigError(what, hint="low-rank or pq make its vectors smaller")

    def apply(self, candidate: Candidate, shop: Workshop) -> Candidate:
        return candidate.stored(neighbours=min(self.neighbours, candidate.storage.neighbours))
