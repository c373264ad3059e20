"""Which events count: rating threshold, duplicates, k-core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from ..config import Config
from ..errors import DataError

__all__ = ["Cleaning", "Events"]

Mask = npt.NDArray[np.bool_]


class Cleaning(Config):
    """What is left out of a log that was read without errors.

    Attributes:
        min_rating: Events rated lower are dropped; None keeps all.
        drop_exact: Drop all but the first of events that are equal in everything. Only where the log has times:
            without, a repeated row may well be a repeated event.
        duplicates: What to do when a user has the same item several times: keep all, the oldest, the newest, or the
            newest with the sum of all weights.
        min_user_events: Every user keeps at least this many events, and
        min_item_events: every item too (k-core: both are applied until neither drops anything). 0 keeps items of the
            item table that have no event at all: they can still be recommended by their text.
        unknown_items: Events whose item the item table lacks: put into quarantine, or add the item without text.
    """

    name: ClassVar[str] = "cleaning"
    min_rating: float | None = None
    drop_exact: bool = True
    duplicates: Literal["keep-all", "keep-first", "keep-last", "sum-weight"] = "keep-all"
    min_user_events: int = Field(default=1, ge=1)
    min_item_events: int = Field(default=0, ge=0)
    unknown_items: Literal["quarantine", "add"] = "quarantine"

    def apply(self, events: Events) -> tuple[Events, dict[str, int]]:
        """Clean events that are sorted by user and time.

        Returns:
            The events left, and how many were dropped for which reason.

        Raises:
            DataError: Nothing is left; the setting to loosen is named.
        """
        dropped: dict[str, int] = {}
        steps: list[tuple[str, str, Callable[[Events], Events]]] = [
            ("min_rating", f"rated below {self.min_rating}", self._rated),
            ("drop_exact", "exact duplicate", self._distinct),
            ("duplicates", f"repeated item ({self.duplicates})", self._repeats),
            ("min_user_events, min_item_events", self._core_name(), self._core),
        ]
        for setting, reason, step in steps:
            before = len(events)
            events = step(events)
            if len(events) < before:
                dropped[reason] = before - len(events)
            if not len(events):
                raise DataError(f"all {before} events were dropped ({reason})", hint=f"loosen {setting}")
        return events, dropped

    def _rated(self, events: Events) -> Events:
        if self.min_rating is None:
            return events
        if events.ratings is None:
            raise DataError("min_rating is set but the log has no rating column", hint='name it: columns={"rating": …}')
        return events.keep(events.ratings >= self.min_rating)

    def _distinct(self, events: Events) -> Events:
        return events.keep(~_exact_duplicates(events)) if self.drop_exact else events

    def _repeats(self, events: Events) -> Events:
        if self.duplicates == "keep-all":
            return events
        pair = pl.Series(events.users.astype(np.int64) << 32 | events.items)
        first_of_all = self.duplicates == "keep-first"
        mask = (pair.is_first_distinct() if first_of_all else pair.is_last_distinct()).to_numpy()
        if self.duplicates == "sum-weight":
            one = pl.Series(np.ones(len(events), np.float32)) if events.weights is None else pl.Series(events.weights)
            total = pl.DataFrame({"pair": pair, "weight": one}).select(pl.col("weight").sum().over("pair"))
            events = replace(events, weights=total["weight"].to_numpy())
        return events.keep(mask)

    def _core_name(self) -> str:
        return f"user with under {self.min_user_events} or item with under {self.min_item_events} events"

    def _core(self, events: Events) -> Events:
        if self.min_user_events <= 1 and self.min_item_events <= 1:
            return events
        return events.keep(core(events.users, events.items, self.min_user_events, self.min_item_events))


@dataclass(frozen=True, eq=False)
class Events:
    """A log as flat arrays of one length; None where it has no such column.

    Attributes:
        users: int32 codes.
        items: int32 codes.
        times: int64, milliseconds since 1970 UTC.
        ratings: float32.
        weights: float32.
        types: int16 codes.
    """

    users: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    times: npt.NDArray[np.int64] | None = None
    ratings: npt.NDArray[np.float32] | None = None
    weights: npt.NDArray[np.float32] | None = None
    types: npt.NDArray[np.int16] | None = None

    def __len__(self) -> int:
        return len(self.users)

    def keep(self, which: Mask | npt.NDArray[np.int64]) -> Self:
        """Some events, by mask or by index."""
        if which.dtype == np.bool_:
            if which.all():
                return self
            which = np.flatnonzero(which)
        arrays: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: array.take(which) for name, array in arrays.items() if array is not None})


def core(users: npt.NDArray[np.int32], items: npt.NDArray[np.int32], min_user: int, min_item: int) -> Mask:
    """The k-core: the largest set of events where every user and item has enough of them (bool ``[events]``)."""
    kept, u, i = None, users, items
    while True:
        enough = (np.bincount(u) >= min_user)[u] & (np.bincount(i) >= min_item)[i]
        if enough.all():
            break
        kept = np.flatnonzero(enough) if kept is None else kept[enough]
        u, i = u[enough], i[enough]
    mask = np.full(len(users), kept is None)
    if kept is not None:
        mask[kept] = True
    return mask


def _exact_duplicates(events: Events) -> Mask:
    """Bool ``[events]``; only events with the same user and time as a neighbour can be duplicates."""
    doubtful = np.zeros(len(events), dtype=bool)
    if events.times is not None and len(events) > 1:
        tie = (events.users[1:] == events.users[:-1]) & (events.times[1:] == events.times[:-1])
        doubtful[1:] |= tie
        doubtful[:-1] |= tie
    at = np.flatnonzero(doubtful)
    some = events.keep(at)
    columns = {f.name: getattr(some, f.name) for f in fields(some) if getattr(some, f.name) is not None}
    duplicate = ~pl.DataFrame(columns).select(pl.struct(pl.all()).is_first_distinct()).to_series().to_numpy()
    doubtful[at] = duplicate
    return doubtful
