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

__all__ = ["Loader", "Step", "Windows", "windows"]

_AHEAD = 4
"""Prepared steps that wait at most."""
_POOL = 32
"""Batches among which windows are sorted by length, so that few places are padding."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Stretches of training rows: the inputs are events ``start .. stop-1``, the labels ``start+1 .. stop``.

    Attributes:
        rows: int64 ``[n]``, the row (user) of each.
        starts: int64 ``[n]``, index into the training events.
        lengths: int64 ``[n]``, inputs in each, at least 1.
    """

    rows: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]


def windows(train: Sequences, length: int, rng: np.random.Generator) -> Windows:
    """Cut every row into consecutive windows that together have each event but a row's first as label exactly once.

    The first window of a row gets a random shorter length, so that from epoch to epoch events are met at different
    distances from the start of their window.

    Args:
        train: Training events.
        length: Inputs in a window at most.
        rng: Draws the length of the first windows.
    """
    labelled = np.maximum(train.lengths - 1, 0)
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
        length: Window length; 1 for models that do not read histories, whose windows are single events.
        sequential: Whether inputs are histories.
        positions: Labelled positions in a batch, at most about.
        stores: Teacher name to its rankings.
        temperatures: Teacher name to the temperatures at which the tail is wanted.
        device: Where tensors go.
    """

    def __init__(
        self, train: Sequences, n_items: int, *, length: int, sequential: bool, positions: int,
        stores: Mapping[str, RankingsStore], temperatures: Mapping[str, tuple[float, ...]], device: torch.device,
    ) -> None:  # fmt: skip
        self.train, self.n_items, self.length, self.sequential = train, n_items, length, sequential
        self.positions, self.stores, self.temperatures, self.device = positions, stores, temperatures, device

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
        cut = windows(self.train, self.length, rng) if self.sequential else self._single_events()
        for part in _batches(cut.lengths, self.positions, rng):
            yield self._step(Windows(cut.rows[part], cut.starts[part], cut.lengths[part]))

    def _single_events(self) -> Windows:
        """Every event is a label of its user; windows start one before it, and their inputs are not read."""
        n = self.train.n_events
        return Windows(self.train.row_of_event(), np.arange(-1, n - 1), np.ones(n, dtype=np.int64))

    def _step(self, cut: Windows) -> Step:
        width = int(cut.lengths.max())
        place = np.arange(width)
        real = place < cut.lengths[:, None]
        labels_at = (cut.starts[:, None] + place + 1)[real]
        inputs = np.full(real.shape, self.n_items, dtype=np.int64)
        if self.sequential:
            inputs[real] = self.train.items[labels_at - 1]
        weights = self.train.weights
        batch = Batch(
            users=torch.from_numpy(cut.rows),
            inputs=torch.from_numpy(inputs),
            at=torch.from_numpy(np.flatnonzero(real)),
            labels=torch.from_numpy(self.train.items[labels_at].astype(np.int64)),
            positions=torch.from_numpy(labels_at),
            weights=torch.ones(len(labels_at)) if weights is None else torch.from_numpy(weights[labels_at]),
        )
        rankings = {name: self._rankings(name, store, labels_at) for name, store in self.stores.items()}
        return Step(batch.to(self.device), rankings)

    def _rankings(self, name: str, store: RankingsStore, positions: npt.NDArray[np.int64]) -> TeacherRankings:
        known = store.read(positions)
        absent = known.items < 0
        logp = np.where(absent, np.float32(-np.inf), known.logp)
        tails = {
            t: torch.from_numpy(known.tail_at(t, self.n_items).astype(np.float32)) for t in self.temperatures[name]
        }
        items = torch.from_numpy(np.where(absent, 0, known.items).astype(np.int64))
        confidence = torch.from_numpy(np.asarray(known.confidence, dtype=np.float32))
        return TeacherRankings(items, torch.from_numpy(logp), tails, confidence).to(self.device)


def _batches(lengths: npt.NDArray[np.int64], budget: int, rng: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Indices of windows for each batch: about ``budget`` positions each, windows of like length together."""
    order = rng.permutation(len(lengths))
    pool = np.cumsum(lengths[order]) // (budget * _POOL)
    order = order[np.lexsort((lengths[order], pool))]
    number = (np.cumsum(lengths[order]) - lengths[order]) // budget
    parts = np.split(order, np.flatnonzero(np.diff(number)) + 1)
    return [parts[i] for i in rng.permutation(len(parts)) if len(parts[i])]
