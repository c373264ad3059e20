"""What a chain of compression may cost."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ..config import Config
from .budget import Share

__all__ = ["Gate"]


class Gate(Config):
    """How much a chain of steps may cost on validation, against the uncompressed model."""

    name: ClassVar[str] = "gate"

    max_drop: Share = Field(0.005, description="share of NDCG@10 that may be lost")
    max_tail_drop: Share = Field(
        0.05, description="share of the tail's recall@10 that may be lost; what chance explains is forgiven"
    )
    min_overlap: float = Field(
        0.5, ge=0, le=1, description="share of the uncompressed model's first 10 items that must come, on average"
    )
    contexts: int = Field(10_000, ge=1, description="validation contexts that are asked at most, spread evenly")
