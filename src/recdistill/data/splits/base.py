"""What every split shares: no held-out event in training, no history that reaches past its targets."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from ...config import Config
from ...errors import DataError
from ..dataset import Contexts, Dataset, Split
from ..sequences import Sequences

__all__ = ["TRAIN", "SplitConfig", "cut", "from_newest"]

TRAIN, VALID, TEST = 0, 1, 2
"""Parts, in the order of time within a user."""
Parts = npt.NDArray[np.int8]
Counts = npt.NDArray[np.int64]


class SplitConfig(Config, ABC):
    """Parameters of a split."""

    @abstractmethod
    def split(self, dataset: Dataset) -> Split:
        """Divide a dataset.

        Raises:
            DataError: Nothing would be left to train on or to test; the setting to loosen is named.
        """


def from_newest(log: Sequences, test: Counts, valid: Counts) -> Parts:
    """Parts of all events: of each user the newest ``test`` events, before them ``valid``, the rest trains.

    Args:
        log: Rows oldest first.
        test: int64 ``[users]``.
        valid: int64 ``[users]``.

    Returns:
        int8 ``[events]``.
    """
    row = log.row_of_event()
    from_end = log.offsets[1:][row] - np.arange(log.n_events)
    return np.where(from_end <= test[row], TEST, np.where(from_end <= (test + valid)[row], VALID, TRAIN)).astype(
        np.int8
    )


def cut(dataset: Dataset, parts: Parts, method: str, loosen: str) -> Split:
    """Make the split; within every user, parts must not decrease with time.

    Args:
        dataset: What is split.
        parts: int8 ``[events]``: 0 train, 1 valid, 2 test.
        method: Name of the split.
        loosen: What the user can do if training or test is empty.
    """
    train = dataset.log.keep(parts == TRAIN)
    valid, test = _contexts(dataset.log, parts, VALID), _contexts(dataset.log, parts, TEST)
    for what, empty in (("training", not train.n_events), ("test", not len(test))):
        if empty:
            raise DataError(f"the {method} split leaves no {what} events of {dataset.log.n_events}", hint=loosen)
    return Split(dataset, train, valid, test, method)


def _contexts(log: Sequences, parts: Parts, part: int) -> Contexts:
    targets = log.keep(parts == part)
    users = np.flatnonzero(targets.lengths)
    return Contexts(users.astype(np.int32), log.keep(parts < part).take(users), targets.take(users))
