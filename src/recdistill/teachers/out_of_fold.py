"""Out-of-fold teaching: every user is labelled by a model that was not fitted on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.dataset import Contexts, Split
from ..models.base import Floats, RankingModel

__all__ = ["OUT_OF_FOLD", "OutOfFold", "folds_of_users", "without_users"]

OUT_OF_FOLD = "out_of_fold"
"""In the manifest of what was labelled by models that had not seen the user."""


def folds_of_users(n_users: int, folds: int) -> npt.NDArray[np.int64]:
    """The fold of every user: int64 ``[n_users]`` in ``0..folds-1``, of equal sizes, the same for equal arguments."""
    return np.random.default_rng(folds).permutation(n_users) % folds


def without_users(split: Split, left_out: npt.NDArray[np.bool_]) -> Split:
    """The split with the training rows of some users emptied; users, items and contexts keep their indices.

    Args:
        split: The whole.
        left_out: bool ``[n_users]``.
    """
    return replace(split, train=split.train.keep(~left_out[split.train.row_of_event()]))


class OutOfFold(RankingModel):
    """Fold models as one model: a context is scored by the model that did not see its user.

    A model that has seen a user's training events ranks them as labels by memory, not by what it understood, and would
    teach the student to memorise too (stacking with cross-fitted predictions, Wolpert 1992).

    Args:
        models: One for each fold, fitted without the users of that fold.
        folds: int64 ``[n_users]``, see :func:`folds_of_users`.
    """

    def __init__(self, models: Sequence[RankingModel], folds: npt.NDArray[np.int64]) -> None:
        self.models, self.folds = tuple(models), folds
        first = self.models[0]
        self.config, self.n_items, self.n_users = first.config, first.n_items, first.n_users

    def score(self, contexts: Contexts) -> Floats:
        """Scores; contexts of anonymous sessions go to the first model."""
        fold = np.where(contexts.users < 0, 0, self.folds[contexts.users])
        out = np.empty((len(contexts), self.n_items), dtype=np.float32)
        for number, model in enumerate(self.models):
            rows = np.flatnonzero(fold == number)
            if len(rows):
                out[rows] = model.score(contexts.take(rows))
        return out

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The tensors of every fold's model, prefixed by its number."""
        return {f"{i}.{name}": value for i, model in enumerate(self.models) for name, value in model.tensors().items()}
