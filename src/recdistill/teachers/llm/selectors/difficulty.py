"""Where the student is wrong about what is known to have come next."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from .base import Doubles, Need, Outlook, ScorerConfig

__all__ = ["Difficulty"]


class Difficulty(ScorerConfig):
    """Contexts whose next training event has the highest −log p under the student.

    At the end of a history nothing is known to come next; there the newest event counts, as the student expects it from
    what is before it. ``skip`` leaves out the hardest, of which the event may be one that nobody could expect. Training
    events decide only who is asked about: neither the question nor the candidates know them.
    """

    name: ClassVar[str] = "difficulty"

    skip: float = Field(0.0, ge=0, lt=1, description="share of the hardest contexts that comes last instead of first")

    def needs(self) -> frozenset[Need]:
        return frozenset({"losses"})

    def scores(self, outlook: Outlook) -> Doubles:
        assert outlook.losses is not None
        losses = outlook.losses
        known = losses[~np.isnan(losses)]
        if not self.skip or not len(known):
            return losses
        most = float(np.quantile(known, 1 - self.skip))
        return np.where(losses > most, np.min(known) - losses, losses)  # the hardest of all are the very last
