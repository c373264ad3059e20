"""The users that a bundle knows by name: their newest events, and their vectors where the model learned some."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.dataset import Contexts, Dataset
from ..data.sequences import Sequences
from ..models.base import Floats, RankingModel, VectorModel
from ..serving.strings import Strings
from .quantise import pack

__all__ = ["write_users"]

_ROWS = 4096


def write_users(directory: Path, model: RankingModel, dataset: Dataset, max_length: int) -> None:
    """Write ``users.npz``, ``user_items.npy`` and ``user_ends.npy``; ``user_vectors.npy`` and scales for factors.

    Args:
        directory: The bundle.
        model: Fitted.
        dataset: The log, row by row the users that the model was fitted on.
        max_length: Newest events kept of each user.
    """
    kept = dataset.log.last(max_length)
    small = np.uint16 if dataset.n_items <= np.iinfo(np.uint16).max else np.int32
    np.savez_compressed(directory / "users.npz", allow_pickle=False, **Strings.pack(dataset.users).arrays("id"))
    np.save(directory / "user_items.npy", kept.items.astype(small))
    np.save(directory / "user_ends.npy", kept.offsets)
    if isinstance(model, VectorModel) and not getattr(model.config, "sequential", True):
        packed = pack(_learned(model, dataset), "int8")
        assert packed.scales is not None
        np.save(directory / "user_vectors.npy", packed.values)
        np.save(directory / "user_scales.npy", packed.scales)


def _learned(model: VectorModel, dataset: Dataset) -> Floats:
    """Vectors of all users: float32 ``[n_users, dim]``; zeros for one without events."""
    out = []
    for start in range(0, dataset.n_users, _ROWS):
        users = np.arange(start, min(start + _ROWS, dataset.n_users), dtype=np.int32)
        history = dataset.log.take(users)
        nothing = Sequences(np.zeros(len(users) + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
        vectors = model.encode(Contexts(users, history.without_extras(), nothing))
        out.append(np.where((history.lengths > 0)[:, None], vectors, 0.0))
    return np.concatenate(out).astype(np.float32) if out else np.zeros((0, model.item_vectors().shape[1]), np.float32)
