"""Four bits for each number of the vectors."""

from __future__ import annotations

from typing import ClassVar, Literal

from ..candidate import Candidate, Workshop
from .base import RecoveringStep

__all__ = ["Int4"]


class Int4(RecoveringStep):
    """Whole numbers of 4 bits with a scale for each row, in the item vectors and, if wanted, in the encoder.

    The network is trained on with rounded numbers, for which the gradient passes straight through: quantisation-aware
    distillation. In a linear model, the entries of its matrix are stored so; there is nothing to train.
    """

    name: ClassVar[str] = "int4"

    encoder: Literal["int8", "int4"] = "int8"

    def cut(self, candidate: Candidate, shop: Workshop) -> Candidate:
        return candidate.stored(vectors="int4", encoder=self.encoder)
