"""Scores at training positions, for any model: by windows where it can, by prefixes where it must."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data.dataset import Contexts
from ..data.sequences import Sequences
from ..models.base import RankingModel
from ..models.neural import NeuralModel
from .ensemble import Ensemble
from .out_of_fold import OutOfFold
from .windows import overlapping_windows, prefixes

__all__ = ["Scorer", "scores_at_positions"]

Ints = npt.NDArray[np.int64]

Scorer = Callable[[Ints], Tensor]
"""Positions, int64 ``[n]``, to scores of all items, float32 ``[n, n_items]``, which the caller may overwrite."""

_BATCH_PLACES = 1 << 13


def scores_at_positions(model: RankingModel, users: Ints, train: Sequences, longest: int | None = None) -> Scorer:
    """Prepare to score positions of some rows.

    A model that reads histories in windows computes the states at all places of a window at once and keeps them,
    float32 ``[positions, dim]``; one that does not is given the prefix of each position.

    Args:
        model: Any model, an ensemble or fold models included.
        users: int64 ``[rows]``, the user of each row.
        train: The rows.
        longest: Newest events of a prefix; None for all.
    """
    if isinstance(model, Ensemble):
        members = [scores_at_positions(member, users, train, longest) for member in model.members.values()]
        return lambda positions: model.fuse([score(positions) for score in members])
    if isinstance(model, OutOfFold):
        return _fold_scorer(model, users, train, longest)
    if isinstance(model, NeuralModel) and getattr(model.config, "sequential", False):
        return _window_scorer(model, users, train)

    def score(positions: Ints) -> Tensor:
        row = train.row_of_position(positions)
        unknown = Sequences(np.zeros(len(positions) + 1, dtype=np.int64), train.items[:0])
        contexts = Contexts(users[row].astype(np.int32), prefixes(train, positions, longest), unknown)
        return torch.from_numpy(np.array(model.score(contexts), dtype=np.float32))

    return score


def _fold_scorer(model: OutOfFold, users: Ints, train: Sequences, longest: int | None) -> Scorer:
    fold_of_row = model.folds[users]
    fold_of_position = fold_of_row[train.row_of_position(np.arange(train.n_positions))]
    place = np.zeros(train.n_positions, dtype=np.int64)  # of each position among the positions of its fold
    scorers: list[Scorer] = []
    for fold, member in enumerate(model.models):
        rows, mine = np.flatnonzero(fold_of_row == fold), fold_of_position == fold
        place[mine] = np.arange(mine.sum())
        scorers.append(scores_at_positions(member, users[rows], train.take(rows), longest))

    def score(positions: Ints) -> Tensor:
        out = torch.empty(len(positions), model.n_items)
        for fold, scorer in enumerate(scorers):
            mine = np.flatnonzero(fold_of_position[positions] == fold)
            if len(mine):
                out[torch.from_numpy(mine)] = scorer(place[positions[mine]]).cpu()
        return out

    return score


@torch.no_grad()
def _window_scorer(model: NeuralModel, users: Ints, train: Sequences) -> Scorer:
    was_training = model.training
    model.eval()
    table, bias = model.table(), model.bias()
    kept = torch.zeros(train.n_positions, model.dim, device=table.device)
    cut = overlapping_windows(train, model.config.max_length)  # type: ignore[attr-defined]
    order = np.argsort(cut.lengths, kind="stable")
    parts = np.cumsum(cut.lengths[order]) // _BATCH_PLACES
    for batch in np.split(order, np.flatnonzero(np.diff(parts)) + 1):
        some = cut.take(batch)
        window, column, positions = some.places(train)
        inputs = torch.from_numpy(some.inputs(train, model.n_items)).to(table.device)
        states = model.states(torch.from_numpy(users[some.rows]).to(table.device), inputs, table)
        kept[torch.from_numpy(positions)] = states[torch.from_numpy(window), torch.from_numpy(column)].float()
    model.train(was_training)

    @torch.no_grad()
    def score(positions: Ints) -> Tensor:
        scores = kept[torch.from_numpy(positions)] @ table.T.float()
        return scores if bias is None else scores.add_(bias)

    return score
