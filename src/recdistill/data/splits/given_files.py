"""Given files: held-out events that somebody else chose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from ...errors import DataError
from ..cleaning import Events
from ..columns import LOG_ROLES, resolve_columns
from ..dataset import Contexts, Dataset, Split
from ..log import by_user_and_time, read_log
from ..quarantine import Quarantine
from ..sequences import Sequences
from ..tables import scan
from .base import SplitConfig

__all__ = ["GivenFiles"]


class GivenFiles(SplitConfig):
    """Validate and test on the events in two files.

    The dataset may be the training log alone or the whole log (``read([train, valid, test])``, which also brings the
    items that only occur in held-out events into the catalogue): held-out events are taken out of training either
    way. A test history is all of a user's training and validation events that are older than the user's first test
    event; where the log has no times, all of them.

    Attributes:
        valid: File of validation events.
        test: File of test events.
        columns: ``{role: column}`` where the guess is wrong.
    """

    name: ClassVar[str] = "given"
    valid: Path
    test: Path
    columns: dict[str, str | None] = Field(default_factory=dict)

    def split(self, dataset: Dataset) -> Split:
        valid, test = self._read(dataset, self.valid), self._read(dataset, self.test)
        both = int(_contained(test, valid).sum())
        if both:
            raise DataError(
                f"{both} of its events are also in {self.valid}", where=self.test, hint="hold each out once"
            )
        log = dataset.log
        train = log.keep(~(_contained(log, valid) | _contained(log, test)))
        if not train.n_events:
            raise DataError("the given files hold out every event", where=self.test, hint="read the training log too")
        known = Sequences(train.offsets, train.items, train.times)
        return Split(dataset, train, _contexts(known, valid), _contexts(_merged(known, valid), test), self.name)

    def _read(self, dataset: Dataset, path: Path) -> Sequences:
        """Events of a file in the dataset's codes, one row per user of the dataset."""
        table, bad = scan(path), Quarantine()
        roles = resolve_columns(table, LOG_ROLES, self.columns, ("user", "item"))
        wanted = {role: column for role, column in roles.items() if role in ("user", "item", "time")}
        raw = read_log(table, wanted, bad, dataset.items, "quarantine")
        if len(bad.rows):
            file, line, _, reason = bad.rows.row(0)
            raise DataError(
                f"{len(bad.rows)} rows cannot be used (first: {reason})",
                where=f"{file}, line {line}",
                hint="read all files together, read([train, valid, test]), with the same items and no k-core",
            )
        index = {user: code for code, user in enumerate(dataset.users)}
        unknown = [user for user in raw.users if user not in index]
        if unknown:
            raise DataError(
                f"{len(unknown)} users are not in the dataset (first: {unknown[0]!r})",
                where=path,
                hint="read all files together: read([train, valid, test])",
            )
        code = np.array([index[user] for user in raw.users], np.int32)
        return _rows(replace(raw.events, users=code[raw.events.users]), dataset.n_users)


def _rows(events: Events, n_users: int) -> Sequences:
    events = events.keep(by_user_and_time(events))
    return Sequences.from_sorted(events.users, n_users, events.items, times=events.times)


def _merged(first: Sequences, second: Sequences) -> Sequences:
    """Events of both, by time; at equal times those of ``first`` come first."""
    both = first.concat(second)
    return _rows(Events(both.row_of_event().astype(np.int32), both.items, both.times), len(both))


def _contexts(known: Sequences, targets: Sequences) -> Contexts:
    users = np.flatnonzero(targets.lengths)
    history, targets = known.take(users), targets.take(users)
    if history.times is not None and targets.times is not None and len(users):
        first = targets.times[targets.offsets[:-1]]
        history = history.keep(history.times <= first[history.row_of_event()])
    return Contexts(users.astype(np.int32), history, targets)


def _contained(log: Sequences, other: Sequences) -> npt.NDArray[np.bool_]:
    """Bool ``[log events]``: which are in ``other``, by user, item and (where both have it) time."""
    timed = log.times is not None and other.times is not None
    frames = []
    for part in (log, other):
        columns = {"user": part.row_of_event(), "item": part.items}
        frames.append(pl.DataFrame(columns | ({"time": part.times} if timed else {})))
    found = frames[0].with_row_index("event").join(frames[1], on=frames[1].columns, how="semi")["event"]
    mask = np.zeros(log.n_events, dtype=bool)
    mask[found.to_numpy()] = True
    return mask
