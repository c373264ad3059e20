"""The encoder in another form than the vectors."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ...errors import ConfigError
from ...models.sequence import SequenceModel
from ..candidate import Candidate, Workshop
from ..storage import EncoderForm
from .base import RecoveringStep

__all__ = ["Encoder"]


class Encoder(RecoveringStep):
    """The matrices of the encoder alone: stored in fewer bits, or computed with in 8 bits by ONNX Runtime.

    ``int8``, ``int4`` and ``float16`` are unpacked at load. ``dynamic`` computes products in 8 bits and finds the range
    of what goes into them each time; ``static`` fixes it on histories of the log. Whether that is faster than float32
    depends on the processor and on the width; the table of the chain says it.
    """

    name: ClassVar[str] = "encoder"

    form: EncoderForm = "int8"
    epochs: int = Field(0, ge=0, description="of quantisation-aware distillation; 0 for none")

    def check(self, candidate: Candidate) -> None:
        if not isinstance(candidate.model, SequenceModel):
            what = f"{candidate.model.config.name} has no encoder"
            raise ConfigError(what, hint="int8, int4 or pq make its vectors smaller")

    def cut(self, candidate: Candidate, shop: Workshop) -> Candidate:
        return candidate.stored(encoder=self.form)
