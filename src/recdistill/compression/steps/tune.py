"""Quantisation-aware distillation, by itself."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ..candidate import Candidate, Workshop
from .base import RecoveringStep

__all__ = ["Tune"]


class Tune(RecoveringStep):
    """Nothing is made smaller: the network learns from the teachers with its numbers as they are stored by now."""

    name: ClassVar[str] = "tune"

    epochs: int = Field(3, ge=1, description="of training from the teachers' knowledge")

    def check(self, candidate: Candidate) -> None:
        candidate.network()

    def cut(self, candidate: Candidate, shop: Workshop) -> Candidate:
        return candidate
