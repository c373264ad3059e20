"""Half precision."""

from __future__ import annotations

from typing import ClassVar

from ..candidate import Candidate, Workshop
from .base import Step

__all__ = ["Float16"]


class Float16(Step):
    """Vectors and encoder in half precision: half the bytes, and no loss that could be measured."""

    name: ClassVar[str] = "float16"

    def apply(self, candidate: Candidate, shop: Workshop) -> Candidate:
        return candidate.stored(vectors="float16", encoder="float16")
