"""What every selector shares: it sees what the student thinks of the contexts, never what a teacher would answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ....config import Config
from ....errors import ConfigError
from ....knowledge import Rankings

__all__ = ["Doubles", "Floats", "Ints", "Need", "Outlook", "ScorerConfig", "SelectorConfig", "first_by"]

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Need = Literal["student", "losses", "vectors", "beside"]


@dataclass(frozen=True, eq=False)
class Outlook:
    """What is known about ``n`` contexts before a teacher is asked; parts that nobody needs are None.

    Attributes:
        n: Contexts to choose from.
        student: The student's first items in each.
        losses: float64 ``[n]``, −log p of what came next in each, or of the newest event where nothing is known to have
            come next; NaN where there is neither.
        vectors: float32 ``[n, dim]``, the student's vectors of the contexts.
        labelled: float32 ``[m, dim]``, the same of contexts that were chosen before.
        beside: First items by another teacher, or by the student of one round ago; items -1 where it says nothing.
            None, although needed, before there are two rounds.
    """

    n: int
    student: Rankings | None = None
    losses: Doubles | None = None
    vectors: Floats | None = None
    labelled: Floats | None = None
    beside: Rankings | None = None


class SelectorConfig(Config):
    """Parameters of a way to choose contexts."""

    def needs(self) -> frozenset[Need]:
        """Parts of the outlook that it reads."""
        return frozenset()

    def check(self, against: str | None) -> None:
        """See that there is somebody to compare with.

        Args:
            against: Id of another teacher; None: none was named.

        Raises:
            ConfigError: One is needed.
        """

    def pick(self, outlook: Outlook, n: int, rng: np.random.Generator) -> Ints:
        """Choose contexts.

        Args:
            outlook: What is known about them.
            n: How many; fewer are chosen where there are not as many.
            rng: For what is random, ties among it.

        Returns:
            int64 ``[min(n, outlook.n)]``, all different, the most wanted first.
        """
        raise TypeError(f"{type(self).__name__} chooses nothing")  # every subclass overrides this


class ScorerConfig(SelectorConfig):
    """Parameters of a selector that gives every context a number, and takes the highest."""

    def scores(self, outlook: Outlook) -> Doubles:
        """How much each context is wanted: float64 ``[n]``, NaN where nothing can be said."""
        raise TypeError(f"{type(self).__name__} scores nothing")  # every subclass overrides this

    def pick(self, outlook: Outlook, n: int, rng: np.random.Generator) -> Ints:
        return first_by(self.scores(outlook), n, rng)


def first_by(scores: Doubles, n: int, rng: np.random.Generator) -> Ints:
    """The rows with the highest scores, best first; ties are drawn, NaN come last: int64 ``[min(n, len(scores))]``."""
    drawn = rng.permutation(len(scores))
    values = np.where(np.isnan(scores), -np.inf, scores)[drawn]
    chosen: Ints = drawn[np.argsort(-values, kind="stable")[:n]].astype(np.int64)
    return chosen


def needed(against: str | None, name: str) -> None:
    """Refuse a selector that compares with another teacher where none is named.

    Raises:
        ConfigError: None is.
    """
    if against is None:
        raise ConfigError(
            f"{name} compares the student with another teacher", key=("against",), hint="name a recommender above"
        )
