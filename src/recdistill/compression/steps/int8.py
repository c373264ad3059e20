"""Eight bits for each number of the vectors and of the encoder."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ..candidate import Candidate, Workshop
from .base import RecoveringStep

__all__ = ["Int8"]


class Int8(RecoveringStep):
    """Whole numbers of 8 bits with a scale for each row, in the item vectors and in the matrices of the encoder.

    They are unpacked when the bundle is opened; for an encoder that computes in 8 bits see ``encoder``. With
    ``epochs`` the network is trained on with rounded numbers (Jacob et al. 2018, https://arxiv.org/abs/1712.05877).
    """

    name: ClassVar[str] = "int8"

    epochs: int = Field(0, ge=0, description="of quantisation-aware distillation; 0 for none, which is mostly enough")

    def cut(self, candidate: Candidate, shop: Workshop) -> Candidate:
        return candidate.stored(vectors="int8", encoder="int8")
