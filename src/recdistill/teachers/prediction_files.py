"""Lists of predicted items in files, and how they become rankings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from ..data.dataset import Split
from ..data.tables import Table, scan
from ..errors import DataError, nearest
from ..knowledge import Rankings, rankings_of_candidates
from .ids import existing, indices_of

__all__ = ["rankings_of_lists", "read_lists"]

Doubles = npt.NDArray[np.float64]

_TYPES = {"user": pl.String(), "item": pl.String(), "score": pl.Float64(), "step": pl.Int64(), "rank": pl.Float64()}
_LOWEST_REST = 1e-6


def read_lists(file: Path, split: Split, columns: Mapping[str, str], by_rank: bool, unknown: str) -> pl.DataFrame:
    """One line per item: columns ``position``, ``item`` (index), ``score``; best first within a position.

    Args:
        file: CSV, TSV or Parquet.
        split: The data the predictions are for.
        columns: Role to the name of its column, where that is another.
        by_rank: Only the order counts: scores become ``-log(rank)``.
        unknown: ``error`` or ``skip`` for ids that the data lack.

    Raises:
        DataError: A file, column, user, item or step that is not there, or a score that is not a number.
    """
    table = scan(existing(file))
    frame = _columns(table, columns, by_rank)
    user = indices_of(frame["user"].to_list(), split.dataset.users, "user", table.place, unknown)
    item = indices_of(frame["item"].to_list(), split.dataset.items.ids, "item", table.place, unknown)
    frame = frame.with_columns(pl.Series("user", user), pl.Series("item", item))
    frame = frame.filter((pl.col("user") >= 0) & (pl.col("item") >= 0))
    if not frame["score"].fill_null(np.nan).is_finite().all():
        raise DataError("a score is missing or not a number", where=table.place, hint="remove such lines")
    frame = _with_positions(frame, split, table.place).unique(["position", "item"], keep="first", maintain_order=True)
    frame = frame.sort(["position", "score"], descending=[False, True], maintain_order=True)
    if by_rank:
        place = pl.int_range(1, pl.len() + 1).over("position")
        frame = frame.with_columns((-place.cast(pl.Float64).log()).alias("score"))
    return frame.select("position", "item", "score")


def rankings_of_lists(
    lists: pl.DataFrame, k: int, n_items: int, rest: float | None
) -> tuple[npt.NDArray[np.int64], Rankings]:
    """Positions that have a list, ascending, and their rankings.

    Args:
        lists: From :func:`read_lists`.
        k: Items in a ranking.
        n_items: Catalogue size; unlisted items share evenly what the listed leave.
        rest: Probability of all unlisted items together; the listed ones share ``1 - rest`` by the softmax of their
            scores. None if scores are probabilities themselves.

    Raises:
        DataError: Probabilities are negative or sum to more than 1.
    """
    positions, row = np.unique(lists["position"].to_numpy(), return_inverse=True)
    place = np.arange(len(row)) - np.searchsorted(row, row)
    kept = place < k
    items = np.full((len(positions), k), -1, dtype=np.int32)
    scores = np.full((len(positions), k), -np.inf)
    items[row[kept], place[kept]] = lists["item"].to_numpy()[kept]
    scores[row[kept], place[kept]] = lists["score"].to_numpy()[kept]
    logp, left = _probabilities(scores) if rest is None else _softmax(scores, rest)
    confidence = np.ones(len(positions), dtype=np.float32)
    return positions.astype(np.int64), rankings_of_candidates(items, logp, left, n_items, confidence)


def _columns(table: Table, columns: Mapping[str, str], by_rank: bool) -> pl.DataFrame:
    names = {role: columns.get(role, role) for role in _TYPES}
    for role in ["user", "item", *([] if by_rank else ["score"]), *columns]:
        if names[role] not in table.columns:
            hint = nearest(names[role], table.columns)
            raise DataError(f"no column {names[role]!r} for the {role}", where=table.place, hint=hint)
    present = {role: kind for role, kind in _TYPES.items() if names[role] in table.columns}
    frame = table.collect(*(pl.col(names[r]).cast(kind, strict=False).alias(r) for r, kind in present.items()))
    if by_rank and "rank" in present:
        return frame.with_columns((-pl.col("rank")).alias("score"))
    if by_rank and "score" not in present:
        return frame.with_columns((-pl.int_range(pl.len())).cast(pl.Float64).alias("score"))
    return frame


def _with_positions(frame: pl.DataFrame, split: Split, place: str) -> pl.DataFrame:
    """Add the training position; without steps every position of the user."""
    train = split.train
    if "step" not in frame.columns:
        positions = np.arange(train.n_positions)
        rows = pl.DataFrame({"user": train.row_of_position(positions), "position": positions})
        return frame.join(rows, on="user", maintain_order="left")
    user, step = frame["user"].to_numpy(), frame["step"].fill_null(-1).to_numpy()
    wrong = np.flatnonzero((step < 0) | (step > train.lengths[user]))
    if len(wrong):
        row = int(wrong[0])
        name, events_of = split.dataset.users[int(user[row])], train.lengths[user[row]]
        raise DataError(
            f"step {frame['step'][row]} of user {name!r}, who has {events_of} training events",
            where=place,
            hint="steps count the user's training events from 0; their number means what follows the last",
        )
    at_end = step == train.lengths[user]
    return frame.with_columns(
        pl.Series("position", np.where(at_end, train.n_events + user, train.offsets[user] + step))
    )


def _softmax(scores: Doubles, rest: float) -> tuple[Doubles, Doubles]:
    """Log-probabilities of the listed items, and the probability of all others together."""
    top = scores.max(axis=1, keepdims=True)
    total = np.log(np.exp(scores - top).sum(axis=1, keepdims=True)) + top
    return scores - total + np.log1p(-rest), np.full(len(scores), rest)


def _probabilities(scores: Doubles) -> tuple[Doubles, Doubles]:
    listed = np.where(np.isneginf(scores), 0.0, scores)
    total = listed.sum(axis=1)
    if (listed < 0).any() or (total > 1 + 1e-3).any():
        raise DataError("probabilities of a list are negative or sum to more than 1", hint="use scores='logit'")
    with np.errstate(divide="ignore"):
        return np.log(listed / np.maximum(total, 1)[:, None]), np.maximum(1 - total, _LOWEST_REST)
