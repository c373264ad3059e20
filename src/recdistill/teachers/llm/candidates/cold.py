"""Items that nobody, or hardly anybody, has chosen yet."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from ....data.dataset import Split
from ....errors import ConfigError
from ....knowledge import Knowledge
from .base import Candidates, CandidatesConfig
from .random import Pool

__all__ = ["ColdCandidates"]


class ColdCandidates(CandidatesConfig):
    """Items with few training events, each as likely."""

    name: ClassVar[str] = "cold"

    events: int = Field(0, ge=0, description="training events of an item at most")

    def prepare(self, split: Split, knowledge: Knowledge) -> Candidates:
        items = np.flatnonzero(split.popularity <= self.events).astype(np.int32)
        if len(items) < 2:
            fewest = int(np.sort(split.popularity)[min(1, split.n_items - 1)])
            what = f"there are {len(items)} items with at most {self.events} training events"
            hint = f"raise events; two items have at most {fewest}"
            raise ConfigError(what, key=("candidates", "events"), hint=hint)
        return Pool(items, self.n)
