"""Contexts unlike each other, and unlike those that were asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from ....registry import component_field
from . import SELECTORS
from .base import Doubles, Floats, Ints, Need, Outlook, SelectorConfig

__all__ = ["Diversity", "far_apart"]

if TYPE_CHECKING:
    Selector = SelectorConfig
else:
    Selector = component_field(SELECTORS)


class Diversity(SelectorConfig):
    """Contexts that cover the student's space: one after another, that which lies farthest from all chosen before.

    The greedy solution of the k-centre problem (Sener and Savarese 2018, https://arxiv.org/abs/1708.00489) with one
    minus the cosine as distance; contexts of earlier rounds count as chosen. With ``among`` it covers only the
    ``shortlist`` times as many contexts that another selector wants most: uncertain, and yet not all alike.
    """

    name: ClassVar[str] = "diversity"

    among: Selector | None = Field(None, description="a selector that makes a shortlist; null: all contexts")
    shortlist: float = Field(4.0, ge=1, description="length of its list, as a multiple of the contexts wanted")

    def needs(self) -> frozenset[Need]:
        own: frozenset[Need] = frozenset({"vectors"})
        return own if self.among is None else own | self.among.needs()

    def check(self, against: str | None) -> None:
        if self.among is not None:
            self.among.check(against)

    def pick(self, outlook: Outlook, n: int, rng: np.random.Generator) -> Ints:
        assert outlook.vectors is not None
        if self.among is None:
            rows = np.arange(outlook.n)
        else:
            rows = self.among.pick(outlook, int(np.ceil(n * self.shortlist)), rng)
        return rows[far_apart(outlook.vectors[rows], n, outlook.labelled, rng)]


def far_apart(vectors: Floats, n: int, before: Floats | None, rng: np.random.Generator) -> Ints:
    """Greedy k-centre: int64 ``[min(n, len(vectors))]``, all different.

    Args:
        vectors: float32 ``[m, dim]``.
        n: How many.
        before: float32 ``[any, dim]``, what is covered already; None or empty: nothing, the first is drawn.
        rng: For the first.
    """
    units = _units(vectors)
    nearest = np.full(len(units), np.inf)
    for known in _units(vectors[:0] if before is None else before):
        nearest = np.minimum(nearest, 1 - units @ known)
    chosen = np.zeros(min(n, len(units)), dtype=np.int64)
    for place in range(len(chosen)):
        free = np.isinf(nearest).all()
        chosen[place] = rng.integers(len(units)) if free else int(np.argmax(nearest))
        nearest = np.minimum(nearest, 1 - units @ units[chosen[place]])
        nearest[chosen[: place + 1]] = -np.inf  # also where others lie in the same place
    return chosen


def _units(vectors: Floats) -> Doubles:
    wide = vectors.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
