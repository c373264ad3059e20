"""Entropy coding of the files."""

from __future__ import annotations

from typing import ClassVar

from ..candidate import Candidate, Workshop
from .base import Step

__all__ = ["Deflate"]


class Deflate(Step):
    """Vectors and encoder are compressed on disk with zlib (RFC 1950), without a loss.

    Rounded numbers are not spread evenly over their levels, and pruned ones are zero: both leave something to save.
    """

    name: ClassVar[str] = "deflate"

    def apply(self, candidate: Candidate, shop: Workshop) -> Candidate:
        return candidate.stored(deflate=True)
