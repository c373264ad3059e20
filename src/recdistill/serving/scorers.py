"""How a history becomes a score for every item: one small class for each kind of bundle."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..data.sequences import Sequences
from ..errors import BundleError
from ..registry import need
from .ann import Graph, SearchedTable
from .grown import GrownTable
from .manifest import Kind, Manifest, load_array
from .place import Place
from .tables import Found, Table, Wanted, load_matrix, load_table

__all__ = ["SCORERS", "Scorer", "run_encoder", "session"]

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
_BATCH = 256
_OUTPUT = ["context"]


class Scorer(ABC):
    """Scores of all items for a history of at least one event.

    Attributes:
        text_width: Numbers that a text tower must give for a new item; 0 where none can be taken in.
    """

    text_width: int = 0

    @abstractmethod
    def __call__(self, history: Indices, /) -> Floats:
        """A new array float32 ``[n_items]``, higher is better, from int64 ``[length]``, oldest first."""

    def batch(self, histories: Sequences) -> Floats:
        """Scores for at least one history: float32 ``[len(histories), n_items]``."""
        return np.stack([self(histories[row].astype(np.int64)) for row in range(len(histories))])

    def best(self, history: Indices, wanted: Wanted) -> Found:
        """The items with the highest scores, and these, best first."""
        return wanted.best(self(history))

    def best_each(self, histories: Sequences, wanted: Sequence[Wanted]) -> list[Found]:
        """The same for each of at least one history."""
        rows = range(len(histories))
        return [self.best(histories[row].astype(np.int64), one) for row, one in zip(rows, wanted, strict=True)]

    def best_for_each(self, users: Floats, wanted: Sequence[Wanted]) -> list[Found]:
        """The same for users' own vectors: float32 ``[n, dim]``."""
        raise BundleError("this bundle ranks by histories, not by vectors of users", hint="write the bundle again")

    def similar(self, item: int, wanted: Wanted) -> Found:
        """The items most alike to one of them."""
        return wanted.best(self(np.array([item])))

    def nearest(self, row: Floats, wanted: Wanted) -> Found:
        """The items most alike to one that has these numbers of :attr:`text_width`."""
        raise BundleError("this bundle has no vectors", hint="bundle another model")

    def grown(self, row: Floats, n_items: int) -> Scorer:
        """The scorer with one item more; this one stays as it is.

        Args:
            row: float32 ``[text_width]``, of the new item.
            n_items: How many there were.
        """
        raise BundleError("this bundle has no vectors", hint="bundle another model")

    def vectors_of(self, _items: Indices) -> Floats | None:
        """Vectors that tell which items are alike: float32 ``[n, any]``; None where the kind has none."""
        return None


class VectorScorer(Scorer):
    """A history becomes a context vector; score = context vector · item vector + bias."""

    def __init__(self, place: Place, manifest: Manifest) -> None:
        self.table = load_table(place, manifest)
        if (graph := Graph.open(place, manifest)) is not None:
            self.table = SearchedTable(self.table, graph, manifest.n_items)
        self._length = manifest.max_length
        has_bias = manifest.has("bias.npy")
        self.bias = load_array(place, "bias.npy", (manifest.n_items,), np.float32) if has_bias else None
        self._dim, self.text_width = manifest.dim, manifest.dim + has_bias

    @abstractmethod
    def context(self, history: Indices, /) -> Floats:
        """The context vector: float32 ``[dim]``."""

    def contexts(self, histories: Sequences) -> Floats:
        """Context vectors of at least one history: float32 ``[len(histories), dim]``."""
        return np.stack([self.context(histories[row].astype(np.int64)) for row in range(len(histories))])

    def __call__(self, history: Indices) -> Floats:
        scores = self.table.scores(self.context(history))
        return scores if self.bias is None else scores + self.bias

    def batch(self, histories: Sequences) -> Floats:
        scores = self.table.batch(self.contexts(histories))
        return scores if self.bias is None else scores + self.bias

    def best(self, history: Indices, wanted: Wanted) -> Found:
        return self.table.best(self.context(history), wanted, self.bias)

    def best_each(self, histories: Sequences, wanted: Sequence[Wanted]) -> list[Found]:
        return self.table.best_each(self.contexts(histories), wanted, self.bias)

    def best_for_each(self, users: Floats, wanted: Sequence[Wanted]) -> list[Found]:
        return self.table.best_each(users, wanted, self.bias)

    def similar(self, item: int, wanted: Wanted) -> Found:
        """By the cosine of the item vectors."""
        return self.table.nearest(self.table.rows(np.array(item)), wanted)

    def nearest(self, row: Floats, wanted: Wanted) -> Found:
        return self.table.nearest(row[: self._dim], wanted)

    def grown(self, row: Floats, n_items: int) -> Self:
        """The numbers are the item's vector, its second vector where the kind has one, its bias where there is one."""
        scorer = copy.copy(self)
        scorer.table = GrownTable.grow(self.table, n_items, row[: self._dim])
        scorer.bias = None if self.bias is None else np.append(self.bias, row[-1:])
        return scorer

    def vectors_of(self, items: Indices) -> Floats:
        return self.table.rows(items)


class SequenceScorer(VectorScorer):
    """An ONNX encoder reads the vectors of the history."""

    def __init__(self, place: Place, manifest: Manifest) -> None:
        super().__init__(place, manifest)
        self._session = session(bytes(place.whole("encoder.onnx")), place.where("encoder.onnx"))
        self._last = np.arange(self._length, dtype=np.int64)[:, None]

    def context(self, history: Indices) -> Floats:
        newest = history[-self._length :]
        feed = {"vectors": self.table.rows(newest)[None], "last": self._last[len(newest) - 1]}
        context: Floats = self._session.run(_OUTPUT, feed)[0][0]
        return context

    def contexts(self, histories: Sequences) -> Floats:
        return run_encoder(self._session, self.table.rows, histories, self._length)


class FadingScorer(VectorScorer):
    """A weighted sum of one vector for each event of the history, older ones weighing less; no network runs."""

    def __init__(self, place: Place, manifest: Manifest) -> None:
        super().__init__(place, manifest)
        self._seen: Table = load_table(place, manifest, "seen_")
        # weights of histories of every length, newest event first
        self._ages = load_array(place, "ages.npy", (manifest.max_length, manifest.max_length), np.float32)
        self.text_width += manifest.dim

    def grown(self, row: Floats, n_items: int) -> Self:
        scorer = super().grown(row, n_items)
        scorer._seen = GrownTable.grow(self._seen, n_items, row[self._dim : 2 * self._dim])
        return scorer

    def context(self, history: Indices) -> Floats:
        newest = history[: -self._length - 1 : -1]
        context: Floats = self._ages[len(newest) - 1, : len(newest)] @ self._seen.rows(newest)
        return context


class FoldInScorer(VectorScorer):
    """A user vector is fitted to the history by ridge regression, item vectors fixed (Hu et al. 2008, eq. 4).

    ``u = (G + V_hᵀ V_h)⁻¹ Σ_h v``, with ``G = α Vᵀ V + λ I`` stored: items that were not seen weigh α against 1.
    """

    def __init__(self, place: Place, manifest: Manifest) -> None:
        super().__init__(place, manifest)
        self._gram = load_array(place, "gram.npy", (manifest.dim, manifest.dim), np.float32)

    def context(self, history: Indices) -> Floats:
        seen = self.table.rows(history[-self._length :])
        user: Floats = np.linalg.solve(self._gram + seen.T @ seen, seen.sum(axis=0))
        return user


class ItemToItemScorer(Scorer):
    """Each item of the history adds its row of a sparse matrix, weighted by the age of its newest event."""

    def __init__(self, place: Place, manifest: Manifest) -> None:
        self._neighbours = load_array(place, "neighbours.npy", (manifest.n_items, -1), np.uint16, np.int32)
        width = self._neighbours.shape[1]
        self._weights = load_matrix(place, manifest, "weights", "scales", width)
        if self._neighbours.size and not 0 <= self._neighbours.min() <= self._neighbours.max() < manifest.n_items:
            raise BundleError(
                "names items that do not exist", where=place.where("neighbours.npy"), hint="write the bundle again"
            )
        self._bias = load_array(place, "bias.npy", (manifest.n_items,), np.float32)
        self._length = manifest.max_length
        self._ages = load_array(place, "ages.npy", (-1,), np.float32)

    def __call__(self, history: Indices) -> Floats:
        items, age = np.unique(history[: -self._length - 1 : -1], return_index=True)
        rows = self._weights[items] * self._ages[np.minimum(age, len(self._ages) - 1)][:, None]
        total = np.bincount(self._neighbours[items].ravel(), rows.ravel(), len(self._bias))
        scores: Floats = total.astype(np.float32) + self._bias
        return scores


class PopularityScorer(Scorer):
    """The same score for everyone."""

    def __init__(self, place: Place, manifest: Manifest) -> None:
        self._scores = load_array(place, "bias.npy", (manifest.n_items,), np.float32)

    def __call__(self, _history: Indices) -> Floats:
        return self._scores.copy()

    def similar(self, _item: int, _wanted: Wanted) -> Found:
        raise BundleError("this bundle ranks by popularity and knows no similar items", hint="bundle another model")


SCORERS: dict[Kind, Callable[[Place, Manifest], Scorer]] = {
    "sequence": SequenceScorer,
    "fading": FadingScorer,
    "fold-in": FoldInScorer,
    "item-to-item": ItemToItemScorer,
    "popularity": PopularityScorer,
}
"""The scorer of each kind."""


def session(encoder: bytes, where: str = "encoder.onnx") -> Any:
    """An ONNX Runtime session for a graph, on one core.

    Args:
        encoder: The graph.
        where: For messages.

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
        return runtime.InferenceSession(encoder, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own exceptions share no base
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
