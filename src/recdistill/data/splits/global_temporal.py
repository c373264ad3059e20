"""Global temporal: everything after a moment is held out, as it is in production."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from ...errors import DataError
from ..dataset import Dataset, Split
from .base import TEST, TRAIN, VALID, SplitConfig, cut

__all__ = ["GlobalTemporal"]


class GlobalTemporal(SplitConfig):
    """Test on the newest share of all events, validate on the share before it (Hidasi & Czapp 2023).

    Both moments are quantiles of time; events at the same moment stay together. A context is a user with events in
    the window; its history is everything before the window, and is empty for a user who is new in it.

    Attributes:
        valid: Share for validation, from 0.
        test: Share for the test.
    """

    name: ClassVar[str] = "global-temporal"
    valid: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _leave_training(self) -> GlobalTemporal:
        if self.valid + self.test >= 1:
            raise ValueError("valid and test together must be less than 1")
        return self

    def split(self, dataset: Dataset) -> Split:
        times = dataset.log.times
        if times is None:
            raise DataError(f"the {self.name} split needs times", hint='name the column: columns={"time": …}')
        at = np.minimum(np.ceil(len(times) * (1 - np.array([self.valid + self.test, self.test]))), len(times) - 1)
        to_valid, to_test = np.partition(times, at.astype(np.int64))[at.astype(np.int64)]
        parts = np.where(times >= to_test, TEST, np.where(times >= to_valid, VALID, TRAIN)).astype(np.int8)
        return cut(dataset, parts, self.name, "too many events have the same time: use another split or smaller shares")
