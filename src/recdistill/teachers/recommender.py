"""A fitted recommender as teacher: its ranking at every training position."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data.dataset import Split
from ..data.sequences import Sequences
from ..errors import TeacherError
from ..knowledge import RankingsStore, RankingsWriter
from ..knowledge.codec import ScoreType
from ..models.base import RankingModel, load_model
from ..progress import track
from .about import About, fingerprint_of
from .out_of_fold import OUT_OF_FOLD, OutOfFold
from .positions import scores_at_positions
from .ranking import hide, rankings_of_scores
from .windows import prefixes

__all__ = ["RecommenderTeacher", "fingerprint_of", "label_snapshots", "scored"]

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
        about: Whose items it ranks, in place of its own best.
    """

    def __init__(
        self,
        model: RankingModel,
        name: str | None = None,
        exclude_seen: bool = True,
        max_history: int | None = None,
        about: About | None = None,
    ) -> None:
        self.model, self.name = model, name or model.config.name
        self.exclude_seen, self.max_history, self.about = exclude_seen, max_history, about

    def fingerprint(self) -> str:
        """Hash over model and parameters: 16 hex digits."""
        text = f"{fingerprint_of(self.model)} {self.exclude_seen} {self.max_history}"
        text += "" if self.about is None else f" {self.about.fingerprint()}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def label(
        self,
        split: Split,
        path: str | Path,
        k: int = 100,
        scores: ScoreType = "uint8",
        contexts: Literal["all", "events", "ends"] = "all",
    ) -> RankingsStore:
        """Rank the catalogue at training positions; goes on where an interrupted call stopped.

        The context of a position is the events before it in its row; that of a row's end is the whole row, which is
        what a student that knows users, not histories, learns from. First events of a row and ends of empty rows have
        no context: they are recorded as no answer (confidence 0), like positions that are not wanted. Models that read
        histories in windows score all places of a window at once; there each position sees all of its history, or at
        least half of a window.

        Args:
            split: The data the model was fitted for.
            path: Directory of the store.
            k: Items in a ranking, the catalogue's size at most.
            scores: How log-probabilities are stored.
            contexts: Rank at events, at the ends of rows, or at both.

        Raises:
            TeacherError: The model is for another catalogue, or gives scores that are not numbers.
            KnowledgeError: The directory holds something else.
        """
        if self.model.n_items != split.n_items:
            raise TeacherError(f"{self.name} ranks {self.model.n_items} items, the data have {split.n_items}")
        train, k = split.train, min(k, split.n_items)
        n = train.n_positions
        writer = RankingsWriter(
            path, teacher=self.name, teacher_fingerprint=self.fingerprint(), split_fingerprint=split.fingerprint,
            rows=n, k=k, n_items=split.n_items, scores=scores, contexts=contexts,
            meaning="log-probability of the item as next event, under a softmax over the catalogue",
        )  # fmt: skip
        wanted = train.events_before(np.arange(n)) > 0
        wanted[: train.n_events] &= contexts != "ends"
        wanted[train.n_events :] &= contexts != "events"
        total = int(wanted.sum())
        wanted &= ~writer.done
        with writer, track(f"label with {self.name}", total, "positions", done=total - int(wanted.sum())) as progress:
            for positions, own, asked in self._scored(train, wanted):
                writer.add(positions, rankings_of_scores(own, k, asked))
                progress.advance(len(positions))
        return writer.seal(**({OUT_OF_FOLD: True} if _out_of_fold(self.model) else {}))

    def _scored(self, train: Sequences, wanted: npt.NDArray[np.bool_]) -> Iterator[tuple[Ints, Tensor, Tensor | None]]:
        """Positions, scores by the teacher, and by what it is asked about."""
        own = scored(self.model, train, wanted, self.name, self.exclude_seen, self.max_history)
        if self.about is None:
            yield from ((positions, scores, None) for positions, scores in own)
        else:
            theirs = scored(self.about.model, train, wanted, self.name, self.exclude_seen, self.max_history)
            for (positions, scores), (_, wishes) in zip(own, theirs, strict=True):
                yield positions, scores, self.about.drawn(wishes, positions)


def _out_of_fold(model: RankingModel) -> bool:
    members = getattr(model, "members", None)
    return all(map(_out_of_fold, members.values())) if members else isinstance(model, OutOfFold)


def label_snapshots(
    snapshots: Sequence[Path], split: Split, path: Path, name: str, k: int, *, exclude_seen: bool = True
) -> None:
    """Let earlier states of a teacher label, too: the teachers ``NAME@1`` (the earliest), ``NAME@2`` and so on.

    Args:
        snapshots: Directories of the models.
        split: The data.
        path: Their stores go below ``early`` in it.
        name: The teacher's name.
        k: Items in a ranking.
        exclude_seen: Items of the history get no probability.
    """
    for number, snapshot in enumerate(snapshots, start=1):
        teacher = RecommenderTeacher(load_model(snapshot), name=f"{name}@{number}", exclude_seen=exclude_seen)
        teacher.label(split, path / "early" / str(number), k=k)


def scored(
    model: RankingModel, train: Sequences, wanted: npt.NDArray[np.bool_], name: str, exclude_seen: bool = True,
    longest: int | None = None,
) -> Iterator[tuple[Ints, Tensor]]:  # fmt: skip
    """Scores at training positions, in chunks that depend on nothing but the data and what is wanted.

    Args:
        model: Any ranking model.
        train: Training events.
        wanted: bool ``[n_positions]``.
        name: Of the model, for messages.
        exclude_seen: Items of the history score -inf.
        longest: Newest events of a history that models without windows are given; None for all.

    Yields:
        Positions, int64 ``[n]``, and scores, float32 ``[n, n_items]``, which may be overwritten.

    Raises:
        TeacherError: A score is not a number.
    """
    step = max(1, _CHUNK_NUMBERS // model.n_items)
    for users in _blocks(train):
        rows = train.take(users)
        whole = np.concatenate([np.arange(*train.offsets[[users[0], users[-1] + 1]]), train.n_events + users])
        rest = np.flatnonzero(wanted[whole])
        if not len(rest):
            continue
        score = scores_at_positions(model, users, rows, longest)
        for start in range(0, len(rest), step):
            positions = rest[start : start + step]
            scores = score(positions)
            if not (scores < torch.inf).all():
                raise TeacherError("gave a score that is not a number", where=name, hint="fit it again")
            yield whole[positions], hide(scores, prefixes(rows, positions)) if exclude_seen else scores


def _blocks(train: Sequences) -> Iterator[Ints]:
    """Consecutive rows with about ``_BLOCK_EVENTS`` events together."""
    number = train.offsets[:-1] // _BLOCK_EVENTS
    for block in np.split(np.arange(len(train)), np.flatnonzero(np.diff(number)) + 1):
        if len(block):
            yield block
