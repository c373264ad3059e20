"""Per-user ratio: the newest share of each user's events."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from ..dataset import Dataset, Split
from .base import SplitConfig, cut, from_newest

__all__ = ["PerUserRatio"]


class PerUserRatio(SplitConfig):
    """Test on the newest share of each user's events, validate on the share before it.

    Shares are rounded down, but at least one event where the share is not 0; one event always stays for training.
    Users with fewer than 3 events are trained on whole.

    Attributes:
        valid: Share for validation, from 0.
        test: Share for the test.
    """

    name: ClassVar[str] = "per-user-ratio"
    valid: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _leave_training(self) -> PerUserRatio:
        if self.valid + self.test >= 1:
            raise ValueError("valid and test together must be less than 1")
        return self

    def split(self, dataset: Dataset) -> Split:
        lengths = dataset.log.lengths
        long = lengths >= 3
        one = np.where(long & (self.valid > 0), 1, 0)
        test = np.where(long, np.clip(np.floor(lengths * self.test), 1, lengths - 1 - one), 0).astype(np.int64)
        valid = np.minimum(np.maximum(np.floor(lengths * self.valid), 1) * one, lengths - 1 - test).astype(np.int64)
        parts = from_newest(dataset.log, test, valid * one)
        return cut(dataset, parts, self.name, "no user has 3 events: loosen the cleaning")
