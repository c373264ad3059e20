"""Where the student does not know what to put first."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from .base import Doubles, Need, Outlook, ScorerConfig

__all__ = ["Uncertainty"]


class Uncertainty(ScorerConfig):
    """Contexts in which the student's first items are about equally likely.

    With ``p`` the student's probabilities of its first ``k`` items, made to sum to 1: ``entropy`` is
    ``−Σ p log p / log k``, between 0 and 1; ``margin`` is ``1 − (p₁ − p₂)``, which looks at the first two only
    (Settles 2009, Active Learning Literature Survey, sections 3.1 and 3.2,
    https://minds.wisconsin.edu/handle/1793/60660).
    """

    name: ClassVar[str] = "uncertainty"

    measure: Literal["entropy", "margin"] = Field("entropy", description="what is called uncertain")
    k: int = Field(20, ge=2, description="first items of the student that are looked at")

    def needs(self) -> frozenset[Need]:
        return frozenset({"student"})

    def scores(self, outlook: Outlook) -> Doubles:
        assert outlook.student is not None
        logp = outlook.student.logp[:, : self.k].astype(np.float64)
        with np.errstate(invalid="ignore"):  # a row without any item: NaN
            p = np.exp(logp - np.max(logp, axis=1, initial=-np.inf, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
        if self.measure == "margin":
            first = np.column_stack([p, np.zeros(len(p))])
            return np.asarray(1.0 - (first[:, 0] - first[:, 1]))
        return np.asarray(-(p * np.log(np.maximum(p, 1e-300))).sum(axis=1) / np.log(self.k))
