"""What a fitted model with vectors leaves besides rankings: its weights, and its vector of every user."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..data.dataset import Contexts, Split
from ..data.sequences import Sequences
from ..knowledge import EmbeddingsWriter, WeightsStore
from ..models.base import VectorModel
from ..models.stored import tensors_of
from ..progress import track
from .recommender import fingerprint_of

__all__ = ["leave_vectors"]

Ints = npt.NDArray[np.int64]

_PLACES = 1 << 15
"""Places of histories whose states are computed at once."""


def leave_vectors(model: VectorModel, split: Split, path: str | Path, name: str) -> None:
    """Write two stores, ``weights`` and ``users``; what is there already is kept, what is begun goes on.

    ``weights`` hold the item vectors as ``items`` and, of a network, all parameters as ``model.NAME``, with which it
    can be made again (:func:`recdistill.models.stored.stored_model`). ``users`` holds the model's vector of each user
    at the end of their training events, as float16; users without events have none.

    Args:
        model: Fitted.
        split: The data it was fitted for.
        path: Directory of the two.
        name: What students call the teacher.

    Raises:
        KnowledgeError: A directory holds something else.
    """
    fingerprint = fingerprint_of(model)
    if not (Path(path) / "weights").exists():
        extra, tensors = {"model": model.described()}, tensors_of(model)
        WeightsStore.write(Path(path) / "weights", name, fingerprint, split.fingerprint, tensors, extra=extra)
    writer = EmbeddingsWriter(
        Path(path) / "users", teacher=name, teacher_fingerprint=fingerprint, dataset_fingerprint=split.fingerprint,
        rows=len(split.train), dim=model.item_vectors().shape[1], keyed_by="user",
        meaning="the user's vector after all their training events",
    )  # fmt: skip
    rest = np.flatnonzero(~writer.done & (split.train.lengths > 0))
    if len(rest):
        _write_users(model, split.train, rest, writer, name)
    writer.seal()


def _write_users(model: VectorModel, train: Sequences, rest: Ints, writer: EmbeddingsWriter, name: str) -> None:
    step = max(_PLACES // getattr(model.config, "max_length", 1), 1)
    with writer, track(f"user vectors of {name}", len(rest), "users") as progress:
        for start in range(0, len(rest), step):
            users = rest[start : start + step]
            unknown = Sequences(np.zeros(len(users) + 1, dtype=np.int64), train.items[:0])
            writer.add(users, model.encode(Contexts(users.astype(np.int32), train.take(users), unknown)))
            progress.advance(len(users))
