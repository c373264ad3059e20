"""Simulated choices among items that nobody has chosen yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ....registry import component_field
from ..candidates import CANDIDATES
from ..candidates.base import CandidatesConfig
from .pairwise import Pairwise

__all__ = ["ColdStart"]

if TYPE_CHECKING:
    Generator = CandidatesConfig
else:
    Generator = component_field(CANDIDATES)


class ColdStart(Pairwise):
    """Which of two new items suits a user better: simulated interactions for items without any.

    (Large language models as data augmenters for cold-start items, Wang et al. 2024, https://arxiv.org/abs/2402.11724.)
    """

    name: ClassVar[str] = "cold-start"

    at: Literal["ends", "events", "all"] = "ends"
    candidates: Generator = Field(
        default_factory=lambda: CANDIDATES["cold"].load()(), description="where the candidates come from"
    )
