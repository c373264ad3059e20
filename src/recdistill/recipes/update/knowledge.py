"""What the teachers of a run said, about the data of an update."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...knowledge import Knowledge, RankingsStore
from ...knowledge.rankings_store import RankingsWriter
from ...models import RankingModel
from ...progress import track
from ...teachers.ranking import rankings_of_scores
from ...teachers.recommender import fingerprint_of, scored
from .events import Lesson

__all__ = ["own_answers", "taken_over"]

Mask = npt.NDArray[np.bool_]
_BATCH = 1 << 14


def taken_over(stored: Knowledge, lesson: Lesson, directory: Path, ask: dict[str, RankingModel]) -> Knowledge:
    """Knowledge about the training events of an update.

    Embeddings and weights are about items and hold as they are. Rankings are about positions: those whose context is
    the same are taken over, new ones have no answer unless the teacher is asked. Other kinds are left out.

    Args:
        stored: Of the run.
        lesson: The data of the update.
        directory: For the new stores.
        ask: Teachers to ask about new positions, by name.
    """
    kept = [store for store in stored.stores if store.kind in ("embeddings", "weights")]
    rankings = [store for store in stored.stores if isinstance(store, RankingsStore)]
    for number, store in enumerate(rankings):
        kept.append(_moved(store, lesson, directory / str(number), ask.get(store.manifest.teacher)))
    return Knowledge(tuple(kept))


def _moved(store: RankingsStore, lesson: Lesson, path: Path, teacher: RankingModel | None) -> RankingsStore:
    train, about = lesson.split.train, store.manifest
    writer = RankingsWriter(
        path, teacher=about.teacher, teacher_fingerprint=about.teacher_fingerprint, rows=train.n_positions, k=store.k,
        split_fingerprint=lesson.split.fingerprint, n_items=store.n_items, meaning=about.meaning,
        scores="float16" if about.dtype == "float16" else "uint8", contexts="all", prompt_hash=about.prompt_hash,
    )  # fmt: skip
    at = lesson.stored_at
    known = np.flatnonzero((at >= 0) & (at < about.rows))
    known = known[~writer.done[known]]
    with writer:
        for start in range(0, len(known), _BATCH):
            part = known[start : start + _BATCH]
            writer.add(part, store.read(at[part]))
        if teacher is not None:
            _ask(writer, store.k, lesson, teacher, about.teacher, at < 0)
    return writer.seal()


def own_answers(student: RankingModel, name: str, lesson: Lesson, path: Path, k: int) -> RankingsStore:
    """What a student says at older events before it learns; at new ones it shall change its mind.

    Args:
        student: Fitted.
        name: Of it as a teacher.
        lesson: The data of the update.
        path: Of the store.
        k: Items in a ranking.
    """
    k = min(k, student.n_items)
    writer = RankingsWriter(
        path, teacher=name, teacher_fingerprint=fingerprint_of(student), rows=lesson.split.train.n_positions, k=k,
        split_fingerprint=lesson.split.fingerprint, n_items=student.n_items, contexts="all",
        meaning="log-probability of the item as next event, as the student saw it before",
    )  # fmt: skip
    with writer:
        _ask(writer, k, lesson, student, name, ~lesson.new)
    return writer.seal()


def _ask(writer: RankingsWriter, k: int, lesson: Lesson, teacher: RankingModel, name: str, at: Mask) -> None:
    train = lesson.split.train
    wanted = at & (train.events_before(np.arange(train.n_positions)) > 0) & ~writer.done
    with track(f"label with {name}", int(wanted.sum()), "positions") as progress:
        for positions, scores in scored(teacher, train, wanted, name):
            writer.add(positions, rankings_of_scores(scores, k))
            progress.advance(len(positions))
