"""What every generator of candidates shares: it sees contexts whose targets are hidden."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ....config import Config
from ....data.dataset import Contexts, Split
from ....data.sequences import Sequences
from ....knowledge import Knowledge
from ...out_of_fold import without_users

__all__ = ["Candidates", "CandidatesConfig", "Ints", "Items", "first_unseen", "generator"]

Items = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]


class CandidatesConfig(Config):
    """Parameters of a generator of candidates."""

    n: int = Field(20, ge=2, description="items for each context")

    def uses(self) -> tuple[str, ...]:
        """Names of the teachers whose knowledge it needs."""
        return ()

    def prepare(self, split: Split, knowledge: Knowledge) -> Candidates:
        """Fit or load what is needed.

        Raises:
            KnowledgeError: A teacher that it names left nothing of use.
            ConfigError: There are no such items or models.
        """
        raise TypeError(f"{type(self).__name__} generates no candidates")  # every subclass overrides this

    def prepare_without(self, split: Split, left_out: npt.NDArray[np.bool_], knowledge: Knowledge) -> Candidates:
        """The same fitted without some users, for questions about events of theirs; after :meth:`prepare`.

        What was fitted to an event has it among its candidates far more often than anything could that has not seen it.

        Args:
            split: The data.
            left_out: bool ``[n_users]``.
            knowledge: Of the teachers that it uses.

        Raises:
            ConfigError: It was fitted before, to all users.
        """
        return self.prepare(without_users(split, left_out), knowledge)


class Candidates(ABC):
    """A generator that is ready.

    What follows a context is never in its hands: contexts come without targets.
    """

    @abstractmethod
    def draw(self, contexts: Contexts, positions: Ints, seed: int) -> Items:
        """Items for some contexts.

        Args:
            contexts: Users and histories; targets are empty.
            positions: int64 ``[m]``, the training position of each context, or -1 where it is none.
            seed: For what is random; with it, a context's draw depends on its position and history only.

        Returns:
            int32 ``[m, n]``, all different in a row and none of its history; -1, at the end, where there are no more.
        """


def first_unseen(ranked: Items, history: Sequences, n: int) -> Items:
    """The first ``n`` items of each row that its history does not hold.

    Args:
        ranked: int32 ``[m, any]``, different in a row, best first; -1 = none.
        history: One row per row.
        n: Items wanted; -1 fills what is missing.
    """
    out = np.full((len(ranked), n), -1, dtype=np.int32)
    for row, items in enumerate(ranked):
        kept = items[(items >= 0) & ~np.isin(items, history[row])][:n]
        out[row, : len(kept)] = kept
    return out


def generator(seed: int, position: int, history: npt.NDArray[np.int32]) -> np.random.Generator:
    """Random numbers that belong to one context, whichever others are asked about."""
    return np.random.default_rng([seed, position + 1, *history[-3:].tolist()])


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices that cover ``n`` rows."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
