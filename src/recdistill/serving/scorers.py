"""How a history becomes a score for every item: one small class for each kind of bundle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.sequences import Sequences
from ..errors import BundleError
from ..registry import need
from .manifest import Kind, Manifest, load_array
from .tables import load_matrix, load_table

__all__ = ["SCORERS", "Scorer", "run_encoder", "session"]

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
_BATCH = 256
_OUTPUT = ["context"]


class Scorer(ABC):
    """Scores of all items for a history of at least one event."""

    @abstractmethod
    def __call__(self, history: Indices, /) -> Floats:
        """A new array float32 ``[n_items]``, higher is better, from int64 ``[length]``, oldest first."""

    def batch(self, histories: Sequences) -> Floats:
        """Scores for at least one history: float32 ``[len(histories), n_items]``."""
        return np.stack([self(histories[row].astype(np.int64)) for row in range(len(histories))])

    def similar(self, item: int, /) -> Floats:
        """How alike each item is to one of them: float32 ``[n_items]``."""
        return self(np.array([item]))


class SequenceScorer(Scorer):
    """An ONNX encoder reads the vectors of the history; score = context vector · item vector + bias."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.table, self.bias = load_table(path, manifest), _bias(path, manifest)
        self._length = manifest.max_length
        self._session = session(path / "encoder.onnx")
        self._last = np.arange(self._length, dtype=np.int64)[:, None]

    def __call__(self, history: Indices) -> Floats:
        newest = history[-self._length :]
        feed = {"vectors": self.table.rows(newest)[None], "last": self._last[len(newest) - 1]}
        scores = self.table.scores(self._session.run(_OUTPUT, feed)[0][0])
        return scores if self.bias is None else scores + self.bias

    def batch(self, histories: Sequences) -> Floats:
        scores = self.table.batch(run_encoder(self._session, self.table.rows, histories, self._length))
        return scores if self.bias is None else scores + self.bias

    def similar(self, item: int) -> Floats:
        """Cosine of the item vectors."""
        return self.table.similar(item)


class FadingScorer(Scorer):
    """A weighted sum of one vector for each event of the history, older ones weighing less; no network runs."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.table, self.bias = load_table(path, manifest), _bias(path, manifest)
        self._seen = load_table(path, manifest, "seen_")
        self._length = manifest.max_length
        # weights of histories of every length, newest event first
        self._ages = load_array(path / "ages.npy", (manifest.max_length, manifest.max_length), np.float32)

    def __call__(self, history: Indices) -> Floats:
        newest = history[: -self._length - 1 : -1]
        scores = self.table.scores(self._ages[len(newest) - 1, : len(newest)] @ self._seen.rows(newest))
        return scores if self.bias is None else scores + self.bias

    def similar(self, item: int) -> Floats:
        """Cosine of the item vectors."""
        return self.table.similar(item)


class FoldInScorer(Scorer):
    """A user vector is fitted to the history by ridge regression, item vectors fixed (Hu et al. 2008, eq. 4).

    ``u = (G + V_hᵀ V_h)⁻¹ Σ_h v``, with ``G = α Vᵀ V + λ I`` stored: items that were not seen weigh α against 1.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.table, self.bias = load_table(path, manifest), _bias(path, manifest)
        self._gram = load_array(path / "gram.npy", (manifest.dim, manifest.dim), np.float32)
        self._length = manifest.max_length

    def __call__(self, history: Indices) -> Floats:
        seen = self.table.rows(history[-self._length :])
        scores = self.table.scores(np.linalg.solve(self._gram + seen.T @ seen, seen.sum(axis=0)))
        return scores if self.bias is None else scores + self.bias

    def similar(self, item: int) -> Floats:
        """Cosine of the item vectors."""
        return self.table.similar(item)


class ItemToItemScorer(Scorer):
    """Each item of the history adds its row of a sparse matrix, weighted by the age of its newest event."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._neighbours = load_array(path / "neighbours.npy", (manifest.n_items, -1), np.uint16, np.int32)
        width = self._neighbours.shape[1]
        self._weights = load_matrix(path, manifest, "weights", "scales", width)
        if self._neighbours.size and not 0 <= self._neighbours.min() <= self._neighbours.max() < manifest.n_items:
            raise BundleError(
                "names items that do not exist", where=path / "neighbours.npy", hint="write the bundle again"
            )
        self._bias = load_array(path / "bias.npy", (manifest.n_items,), np.float32)
        self._length = manifest.max_length
        self._ages = load_array(path / "ages.npy", (-1,), np.float32)

    def __call__(self, history: Indices) -> Floats:
        items, age = np.unique(history[: -self._length - 1 : -1], return_index=True)
        rows = self._weights[items] * self._ages[np.minimum(age, len(self._ages) - 1)][:, None]
        total = np.bincount(self._neighbours[items].ravel(), rows.ravel(), len(self._bias))
        scores: Floats = total.astype(np.float32) + self._bias
        return scores


class PopularityScorer(Scorer):
    """The same score for everyone."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._scores = load_array(path / "bias.npy", (manifest.n_items,), np.float32)

    def __call__(self, _history: Indices) -> Floats:
        return self._scores.copy()

    def similar(self, _item: int) -> Floats:
        raise BundleError("this bundle ranks by popularity and knows no similar items", hint="bundle another model")


SCORERS: dict[Kind, Callable[[Path, Manifest], Scorer]] = {
    "sequence": SequenceScorer,
    "fading": FadingScorer,
    "fold-in": FoldInScorer,
    "item-to-item": ItemToItemScorer,
    "popularity": PopularityScorer,
}
"""The scorer of each kind."""


def _bias(path: Path, manifest: Manifest) -> Floats | None:
    return load_array(path / "bias.npy", (manifest.n_items,), np.float32) if "bias.npy" in manifest.files else None


def session(encoder: Path | bytes) -> Any:
    """An ONNX Runtime session for an encoder, on one core.

    Raises:
        BundleError: The graph cannot be loaded.
        MissingExtraError: ONNX Runtime is not installed.
    """
    runtime = need("onnxruntime", "serve")
    options = runtime.SessionOptions()
    # one recommendation is too small to share between threads; waking a second one costs more than it brings
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        source = encoder if isinstance(encoder, bytes) else str(encoder)
        return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own exceptions share no base
        where = encoder if isinstance(encoder, Path) else "encoder.onnx"
        raise BundleError(
            f"cannot be loaded ({str(error).splitlines()[0]})", where=where, hint="write it again"
        ) from None


def run_encoder(encoder: Any, vectors_of: Callable[[Indices], Floats], histories: Sequences, max_length: int) -> Floats:
    """Context vectors of many histories, in batches: float32 ``[len(histories), dim]``.

    Args:
        encoder: The session.
        vectors_of: Gives the vectors of some items.
        histories: At least one.
        max_length: Longest history that is read.
    """
    contexts = []
    for start in range(0, len(histories), _BATCH):
        part = histories.take(np.arange(start, min(start + _BATCH, len(histories))))
        lengths = np.minimum(part.lengths, max_length)
        inputs = part.padded(max(int(lengths.max()), 1), 0)
        contexts.append(encoder.run(_OUTPUT, {"vectors": vectors_of(inputs), "last": np.maximum(lengths - 1, 0)})[0])
    return np.concatenate(contexts)
