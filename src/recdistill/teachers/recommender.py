"""A fitted recommender as teacher: its ranking at every training position."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data.dataset import Split
from ..data.sequences import Sequences
from ..errors import TeacherError
from ..knowledge import Rankings, RankingsStore, RankingsWriter
from ..knowledge.codec import ScoreType
from ..models.base import RankingModel
from ..progress import Progress, track
from .positions import scores_at_positions
from .ranking import hide, rankings_of_scores
from .windows import prefixes

__all__ = ["RecommenderTeacher", "fingerprint_of"]

Ints = npt.NDArray[np.int64]

_CHUNK_NUMBERS = 1 << 22
"""Scores held at once: 16 MB."""
_BLOCK_EVENTS = 1 << 18
"""Events of the rows whose states are held at once."""


class RecommenderTeacher:
    """Labels training positions with what a fitted model would have recommended there.

    Args:
        model: Any ranking model, an ensemble included.
        name: What students call it; by default the model's component.
        exclude_seen: Items of the history get no probability, as in evaluation and serving.
        max_history: Newest events of a history that models without windows are given; None for all.
    """

    def __init__(
        self,
        model: RankingModel,
        name: str | None = None,
        exclude_seen: bool = True,
        max_history: int | None = None,
    ) -> None:
        self.model, self.name = model, name or model.config.name
        self.exclude_seen, self.max_history = exclude_seen, max_history

    def fingerprint(self) -> str:
        """Hash over model and parameters: 16 hex digits."""
        text = f"{fingerprint_of(self.model)} {self.exclude_seen} {self.max_history}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def label(self, split: Split, path: str | Path, k: int = 100, scores: ScoreType = "uint8") -> RankingsStore:
        """Rank the catalogue at every training position; goes on where an interrupted call stopped.

        The context of a position is the events before it in its row. First events of a row have none: they are
        recorded as no answer (confidence 0). Models that read histories in windows score all places of a window at
        once; there each position sees all of its history, or at least half of a window.

        Args:
            split: The data the model was fitted for.
            path: Directory of the store.
            k: Items in a ranking, the catalogue's size at most.
            scores: How log-probabilities are stored.

        Raises:
            TeacherError: The model is for another catalogue, or gives scores that are not numbers.
            KnowledgeError: The directory holds something else.
        """
        if self.model.n_items != split.n_items:
            raise TeacherError(f"{self.name} ranks {self.model.n_items} items, the data have {split.n_items}")
        n, k = split.train.n_events, min(k, split.n_items)
        writer = RankingsWriter(
            path, teacher=self.name, teacher_fingerprint=self.fingerprint(), split_fingerprint=split.fingerprint,
            rows=n, k=k, n_items=split.n_items, scores=scores,
            meaning="log-probability of the item as next event, under a softmax over the catalogue",
        )  # fmt: skip
        with writer, track(f"label with {self.name}", n, "positions", done=int(writer.done.sum())) as progress:
            firsts = split.train.offsets[:-1][split.train.lengths > 0]
            firsts = firsts[~writer.done[firsts]]
            writer.add(firsts, Rankings.none(len(firsts), k))
            progress.advance(len(firsts))
            for users in _blocks(split.train):
                self._label_rows(split.train, users, writer, progress)
        return writer.seal()

    def _label_rows(self, train: Sequences, users: Ints, writer: RankingsWriter, progress: Progress) -> None:
        begin, end = train.offsets[users[0]], train.offsets[users[-1] + 1]
        rest = np.flatnonzero(~writer.done[begin:end])
        if not len(rest):
            return
        rows = train.take(users)
        score = scores_at_positions(self.model, users, rows, self.max_history)
        step = max(1, _CHUNK_NUMBERS // self.model.n_items)
        for start in range(0, len(rest), step):
            positions = rest[start : start + step]
            ranked = rankings_of_scores(self._allowed(score(positions), rows, positions), writer.codec.k)
            writer.add(begin + positions, ranked)
            progress.advance(len(positions))

    def _allowed(self, scores: Tensor, rows: Sequences, positions: Ints) -> Tensor:
        if not (scores < torch.inf).all():
            raise TeacherError("gave a score that is not a number", where=self.name, hint="fit it again")
        return hide(scores, prefixes(rows, positions)) if self.exclude_seen else scores


def fingerprint_of(model: RankingModel) -> str:
    """Hash over a model's parameters and everything it learned: 16 hex digits."""
    digest = hashlib.sha256(model.config.digest().encode())
    for name, value in sorted(model.tensors().items()):
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:16]


def _blocks(train: Sequences) -> Iterator[Ints]:
    """Consecutive rows with about ``_BLOCK_EVENTS`` events together."""
    number = train.offsets[:-1] // _BLOCK_EVENTS
    for block in np.split(np.arange(len(train)), np.flatnonzero(np.diff(number)) + 1):
        if len(block):
            yield block
