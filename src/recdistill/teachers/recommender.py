"""A fitted recommender as teacher: its ranking at every training position."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ..data.dataset import Contexts, Split
from ..data.sequences import Sequences
from ..errors import TeacherError
from ..knowledge import Rankings, RankingsStore, RankingsWriter
from ..knowledge.codec import ScoreType
from ..models.base import RankingModel
from ..models.neural import NeuralModel
from ..progress import Progress, track
from .ranking import hide, rankings_of_scores
from .windows import overlapping_windows, prefixes

__all__ = ["RecommenderTeacher", "fingerprint_of"]

Ints = npt.NDArray[np.int64]

_CHUNK_NUMBERS = 1 << 22
"""Scores held at once: 16 MB."""
_BATCH_PLACES = 1 << 13


class RecommenderTeacher:
    """Labels training positions with what a fitted model would have recommended there.

    Args:
        model: Any ranking model.
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

        The context of a position is the events before it in its row. First events of a row have none: they are recorded as
        no answer (confidence 0). Models that read histories in windows score all places of a window at once; there each
        position sees all of its history, or at least half of a window.

        Args:
            split: The data the model was fitted for.
            path: Directory of the store.
            k: Items in a ranking.
            scores: How log-probabilities are stored.

        Raises:
            TeacherError: The model is for another catalogue, or gives scores that are not numbers.
            KnowledgeError: The directory holds something else.
        """
        if self.model.n_items != split.n_items:
            raise TeacherError(f"{self.name} ranks {self.model.n_items} items, the data have {split.n_items}")
        n, k = split.train.n_events, min(k, split.n_items)
        writer = RankingsWriter(
            path, teacher=self.name, teacher_fingerprint=self.fingerprint(), split_fingerprint=split.fingerprint, rows=n,
            k=k, n_items=split.n_items, scores=scores,
            meaning="log-probability of the item as next event, under a softmax over the catalogue",
        )  # fmt: skip
        with writer, track(f"label with {self.name}", n, "positions", done=int(writer.done.sum())) as progress:
            firsts = np.unique(split.train.offsets[:-1][split.train.lengths > 0])
            firsts = firsts[~writer.done[firsts]]
            writer.add(firsts, _no_answer(len(firsts), k))
            progress.advance(len(firsts))
            self._label_rest(split, writer, k, progress)
        return writer.seal()

    def _label_rest(self, split: Split, writer: RankingsWriter, k: int, progress: Progress) -> None:
        by_window = isinstance(self.model, NeuralModel) and getattr(self.model.config, "sequential", False)
        chunks = self._window_scores if by_window else self._prefix_scores
        for positions, scores in chunks(split, writer.done):
            if not torch.isfinite(scores).all():
                raise TeacherError("gave a score that is not finite", where=self.name, hint="fit it again")
            if self.exclude_seen:
                hide(scores, prefixes(split.train, positions))
            writer.add(positions, rankings_of_scores(scores, k))
            progress.advance(len(positions))

    def _prefix_scores(self, split: Split, done: npt.NDArray[np.bool_]) -> Iterator[tuple[Ints, torch.Tensor]]:
        rows = split.train.row_of_event()
        step = max(1, _CHUNK_NUMBERS // split.n_items)
        rest = np.flatnonzero(~done)
        for start in range(0, len(rest), step):
            positions = rest[start : start + step]
            targets = Sequences(np.arange(len(positions) + 1), split.train.items[positions])
            history = prefixes(split.train, positions, self.max_history)
            scores = self.model.score(Contexts(rows[positions].astype(np.int32), history, targets))
            yield positions, torch.from_numpy(np.array(scores, dtype=np.float32))

    @torch.inference_mode()
    def _window_scores(self, split: Split, done: npt.NDArray[np.bool_]) -> Iterator[tuple[Ints, torch.Tensor]]:
        model = self.model
        assert isinstance(model, NeuralModel)
        was_training = model.training
        model.eval()
        table, bias = model.table(), model.bias()
        cut = overlapping_windows(split.train, model.config.max_length)  # type: ignore[attr-defined]
        order = np.argsort(cut.lengths, kind="stable")
        parts = np.cumsum(cut.lengths[order]) // _BATCH_PLACES
        for batch in np.split(order, np.flatnonzero(np.diff(parts)) + 1):
            some = cut.take(batch)
            window, column, positions = some.places()
            rest = ~done[positions]
            if not rest.any():
                continue
            inputs = torch.from_numpy(some.inputs(split.train, split.n_items)).to(table.device)
            states = model.states(torch.from_numpy(some.rows).to(table.device), inputs, table)
            states = states[torch.from_numpy(window[rest]), torch.from_numpy(column[rest])]
            step = max(1, _CHUNK_NUMBERS // split.n_items)
            for start in range(0, len(states), step):
                scores = states[start : start + step] @ table.T
                yield positions[rest][start : start + step], (scores if bias is None else scores + bias).float()
        model.train(was_training)


def fingerprint_of(model: RankingModel) -> str:
    """Hash over a model's parameters and everything it learned: 16 hex digits."""
    digest = hashlib.sha256(model.config.digest().encode())
    for name, value in sorted(model.tensors().items()):
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:16]


def _no_answer(n: int, k: int) -> Rankings:
    return Rankings(
        np.full((n, k), -1, dtype=np.int32),
        np.full((n, k), -np.inf, dtype=np.float32),
        np.full((n, 3), -np.inf, dtype=np.float32),
        np.zeros(n, dtype=np.float32),
    )
