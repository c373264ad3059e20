"""Product quantisation of the vectors."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ...errors import ConfigError
from ...models.neural import NeuralModel
from ..candidate import Candidate, Workshop
from .base import RecoveringStep

__all__ = ["PQ"]


class PQ(RecoveringStep):
    """Each part of an item vector becomes the nearest of 256 codewords: one byte (Jégou et al. 2011,
    https://doi.org/10.1109/TPAMI.2010.57).

    Codewords come from k-means and move on with the network in quantisation-aware distillation. A bundle with many
    items is scored through look-up tables and never unpacked.
    """

    name: ClassVar[str] = "pq"

    parts: int | None = Field(None, ge=1, description="bytes for an item; must divide the width; None: width / 4")
    encoder: Literal["int8", "int4"] = "int8"

    def check(self, candidate: Candidate) -> None:
        if not isinstance(candidate.model, NeuralModel):
            what = f"{candidate.model.config.name} has no item vectors that could share codewords"
            raise ConfigError(what, hint="int4 or prune-neighbours make it smaller")

    def cut(self, candidate: Candidate, shop: Workshop) -> Candidate:
        return candidate.stored(vectors="pq", parts=self.parts, encoder=self.encoder)
