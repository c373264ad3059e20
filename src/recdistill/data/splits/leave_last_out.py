"""Leave-last-out: the protocol of SASRec and most sequential recommenders."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from ..dataset import Dataset, Split
from .base import SplitConfig, cut, from_newest

__all__ = ["LeaveLastOut"]


class LeaveLastOut(SplitConfig):
    """Test on the newest ``n`` events of each user, validate on the ``n`` before them (Kang & McAuley 2018).

    Users with fewer than ``2 n + 1`` events are trained on whole and asked nothing. Training events of one user may
    be later than test events of another: where that matters, use :class:`GlobalTemporal`.

    Attributes:
        n: Events held out per user, for each of the two.
    """

    name: ClassVar[str] = "leave-last-out"
    n: int = Field(default=1, ge=1)

    def split(self, dataset: Dataset) -> Split:
        held_out = np.where(dataset.log.lengths > 2 * self.n, self.n, 0)
        parts = from_newest(dataset.log, held_out, held_out)
        return cut(dataset, parts, self.name, f"no user has {2 * self.n + 1} events: loosen the cleaning, or lower n")
