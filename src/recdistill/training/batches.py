"""Batches of training windows, prepared with their stored knowledge ahead of the step."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..data.sequences import Sequences
from ..knowledge import RankingsStore
from ..models.neural import Batch
from ..objectives.base import TeacherRankings

__all__ = ["Loader", "Step", "Windows", "batches_of_like_length", "windows"]

Ints = npt.NDArray[np.int64]

_AHEAD = 4
"""Prepared steps that wait at most."""
_POOL = 32
"""Batches among which windows are sorted by length, so that few places are padding."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Stretches of training rows: the inputs are events ``start .. stop-1``, the labels ``start+1 .. stop``.

    The last label may lie behind the row: then the place is the row's end, where only teachers have an answer.

    Attributes:
        rows: int64 ``[n]``, the row (user) of each.
        starts: int64 ``[n]``, index into the training events.
        lengths: int64 ``[n]``, inputs in each, at least 1.
    """

    rows: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]


def windows(train: Sequences, length: int, rng: np.random.Generator, ends: bool = False) -> Windows:
    """Cut every row into consecutive windows that together have each event but a row's first as label exactly once.

    The first window of a row gets a random shorter length, so that from epoch to epoch events are met at different
    distances from the start of their window.

    Args:
        train: Training events.
        length: Inputs in a window at most.
        rng: Draws the length of the first windows.
        ends: The end of each row counts as an event, too.
    """
    labelled = np.maximum(train.lengths - 1 + ends, 0)
    first = np.where(labelled > length, rng.integers(1, length + 1, len(train)), length)
    first = np.minimum(first, labelled)
    counts = (labelled > 0) + -(-(labelled - first) // length)
    rows = np.repeat(np.arange(len(train)), counts)
    number = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    begin = np.where(number == 0, 0, first[rows] + (number - 1) * length)
    end = np.minimum(np.where(number == 0, first[rows], begin + length), labelled[rows])
    return Windows(rows, train.offsets[rows] + begin, end - begin)


@dataclass(frozen=True, slots=True)
class Step:
    """All that one optimiser step needs."""

    batch: Batch
    rankings: Mapping[str, TeacherRankings]


class Loader:
    """Makes the steps of an epoch in a thread of its own.

    Args:
        train: Training events.
        n_items: Catalogue size, the padding index.
        length: Window length of models that read histories.
        sequential: Whether inputs are histories. If not, each user is one context: their items are its labels, the end
            of their row is its position.
        positions: Contexts in a batch, at most about.
        stores: Teacher name to its rankings.
        temperatures: Teacher name to the temperatures at which the tail is wanted, beside 1; may be changed between
            epochs.
        device: Where tensors go.
        ends: The ends of rows are contexts too, also where no store has rankings there.
    """

    def __init__(
        self, train: Sequences, n_items: int, *, length: int, sequential: bool, positions: int,
        stores: Mapping[str, RankingsStore], temperatures: Mapping[str, tuple[float, ...]], device: torch.device,
        ends: bool = False,
    ) -> None:  # fmt: skip
        self.train, self.n_items, self.length, self.sequential = train, n_items, length, sequential
        self.positions, self.stores, self.temperatures, self.device = positions, stores, temperatures, device
        self.ends = ends or any(store.contexts != "events" for store in stores.values())

    @property
    def contexts(self) -> int:
        """Contexts in an epoch."""
        events = self.train.lengths
        return int(np.maximum(events - 1 + self.ends, 0).sum() if self.sequential else np.count_nonzero(events))

    @property
    def steps(self) -> int:
        """Steps in an epoch, about."""
        return -(-self.contexts // self.positions)

    def epoch(self, seed: int, epoch: int) -> Generator[Step]:
        """The steps of an epoch; equal arguments give equal steps."""
        ahead: queue.Queue[Step | BaseException | None] = queue.Queue(_AHEAD)
        stopped = threading.Event()

        def put(item: Step | BaseException | None) -> bool:
            while not stopped.is_set():
                try:
                    ahead.put(item, timeout=0.1)
                    return True
                except queue.Full:
                    continue
            return False

        def work() -> None:
            try:
                for step in self._steps(np.random.default_rng((seed, epoch))):
                    if not put(step):
                        return
                put(None)
            except BaseException as error:  # handed to the training thread, which raises it
                put(error)

        thread = threading.Thread(target=work, name="recdistill-loader", daemon=True)
        thread.start()
        try:
            while (item := ahead.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stopped.set()
            thread.join()

    def _steps(self, rng: np.random.Generator) -> Iterator[Step]:
        if self.sequential:
            cut = windows(self.train, self.length, rng, self.ends)
            for part in batches_of_like_length(cut.lengths, self.positions, rng):
                yield self._step(self._histories(Windows(cut.rows[part], cut.starts[part], cut.lengths[part])))
        else:
            users = rng.permutation(np.flatnonzero(self.train.lengths))
            for start in range(0, len(users), self.positions):
                yield self._step(self._users(users[start : start + self.positions]))

    def _histories(self, cut: Windows) -> Batch:
        """Windows as a batch."""
        train, place = self.train, np.arange(int(cut.lengths.max()))
        real = place < cut.lengths[:, None]
        following = (cut.starts[:, None] + place + 1)[real]
        row = np.broadcast_to(cut.rows[:, None], real.shape)[real]
        at_end = following == train.offsets[row + 1]
        inputs = np.full(real.shape, self.n_items, dtype=np.int64)
        inputs[real] = train.items[following - 1]
        event = np.where(at_end, 0, following)
        weights = np.ones(len(event), np.float32) if train.weights is None else train.weights[event]
        unlabelled = at_end | (weights == 0)
        return Batch(
            users=torch.from_numpy(cut.rows),
            inputs=torch.from_numpy(inputs),
            at=torch.from_numpy(np.flatnonzero(real)),
            positions=torch.from_numpy(np.where(at_end, train.n_events + row, following)),
            labels=torch.from_numpy(np.where(unlabelled, -1, train.items[event].astype(np.int64))[:, None]),
            weights=torch.from_numpy(np.where(unlabelled, np.float32(0), weights)[:, None]),
        )

    def _users(self, users: Ints) -> Batch:
        """Users as a batch."""
        own = self.train.take(users)
        row, n = own.row_of_event(), len(users)
        place = np.arange(own.n_events) - own.offsets[row]
        labels = np.full((n, int(own.lengths.max())), -1, dtype=np.int64)
        weights = np.zeros(labels.shape, dtype=np.float32)
        labels[row, place], weights[row, place] = own.items, 1.0 if own.weights is None else own.weights
        labels[weights == 0] = -1
        return Batch(
            users=torch.from_numpy(users),
            inputs=torch.full((n, 1), self.n_items),
            at=torch.arange(n),
            positions=torch.from_numpy(self.train.n_events + users),
            labels=torch.from_numpy(labels),
            weights=torch.from_numpy(weights),
        )

    def _step(self, batch: Batch) -> Step:
        positions = batch.positions.numpy()
        rankings = {name: self._rankings(name, store, positions) for name, store in self.stores.items()}
        return Step(batch.to(self.device), rankings)

    def _rankings(self, name: str, store: RankingsStore, positions: npt.NDArray[np.int64]) -> TeacherRankings:
        known = store.read(positions)
        absent = known.items < 0
        logp = np.where(absent, np.float32(-np.inf), known.logp)
        tails = {
            t: torch.from_numpy(known.tail_at(t, self.n_items).astype(np.float32))
            for t in sorted({1.0, *self.temperatures.get(name, ())})
        }
        items = torch.from_numpy(np.where(absent, 0, known.items).astype(np.int64))
        confidence = torch.from_numpy(np.asarray(known.confidence, dtype=np.float32))
        return TeacherRankings(items, torch.from_numpy(logp), tails, confidence).to(self.device)


def batches_of_like_length(
    lengths: npt.NDArray[np.int64], budget: int, rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Indices of windows for each batch: about ``budget`` positions each, windows of like length together."""
    order = rng.permutation(len(lengths))
    pool = np.cumsum(lengths[order]) // (budget * _POOL)
    order = order[np.lexsort((lengths[order], pool))]
    number = (np.cumsum(lengths[order]) - lengths[order]) // budget
    parts = np.split(order, np.flatnonzero(np.diff(number)) + 1)
    return [parts[i] for i in rng.permutation(len(parts)) if len(parts[i])]
