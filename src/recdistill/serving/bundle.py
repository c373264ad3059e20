"""A bundle at work: recommendations from a history, similar items, scores for an evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.dataset import Catalogue, Contexts
from ..errors import BundleError
from .catalogue import read_items, resolve
from .manifest import Manifest
from .scorers import SCORERS, Scorer
from .topk import top_k

__all__ = ["Bundle", "Recommendation"]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One recommended item: its id, its title (or id), and its score; scores compare only within one answer."""

    item: str
    title: str
    score: float


class Bundle:
    """A bundle in memory. Make one with :meth:`open`.

    Attributes:
        path: Its directory.
        manifest: What it says about itself.
        items: The catalogue.
        popularity: int64 ``[n_items]``, events of each item in the data it was made from.
    """

    def __init__(
        self, path: Path, manifest: Manifest, items: Catalogue, popularity: npt.NDArray[np.int64], scorer: Scorer
    ) -> None:
        self.path, self.manifest, self.items, self.popularity = path, manifest, items, popularity
        self._scorer = scorer

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = True) -> Bundle:
        """Load a bundle.

        Args:
            path: Directory written by ``write_bundle``.
            verify: Compare the checksum of every file first.

        Raises:
            BundleError: It is no bundle, of another version, or was truncated or changed.
            MissingExtraError: ONNX Runtime is needed and not installed.
        """
        path = Path(path)
        manifest = Manifest.read(path, verify=verify)
        if manifest.kind not in SCORERS:
            raise BundleError(f"unknown kind {manifest.kind!r}", where=path, hint="upgrade recdistill")
        items, popularity = read_items(path / "items.parquet", manifest.n_items)
        return cls(path, manifest, items, popularity, SCORERS[manifest.kind](path, manifest))

    @property
    def n_items(self) -> int:
        """Catalogue size."""
        return self.manifest.n_items

    @cached_property
    def size_bytes(self) -> int:
        """Size on disk: the sum of all files."""
        return sum(file.stat().st_size for file in self.path.iterdir())

    @cached_property
    def card(self) -> dict[str, Any]:
        """The model card."""
        card: dict[str, Any] = json.loads((self.path / "card.json").read_text(encoding="utf-8"))
        return card

    def recommend(
        self, history: Sequence[str], n: int = 10, *, exclude_history: bool = True, deny: Iterable[str] = ()
    ) -> list[Recommendation]:
        """Items for somebody with this history.

        Args:
            history: Item ids or titles, oldest first; see :func:`~.serving.resolve`. Empty: the popular items.
            n: How many, at most.
            exclude_history: Leave out what is in the history.
            deny: Ids or titles that must not come.

        Raises:
            DataError: A name that fits no item, or several.
        """
        seen = np.array([resolve(self.items, name) for name in history], dtype=np.int64)
        denied = np.array([resolve(self.items, name) for name in deny], dtype=np.int64)
        return self._named(*self.recommend_indices(seen, n, exclude_history=exclude_history, deny=denied))

    def recommend_indices(
        self,
        history: npt.NDArray[np.int64],
        n: int = 10,
        *,
        exclude_history: bool = True,
        deny: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """The same with indices into the catalogue: items int64 ``[m]`` and scores float32 ``[m]``, best first."""
        scores = self._scorer(history) if len(history) else self.popularity.astype(np.float32)
        if exclude_history:
            scores[history] = -np.inf
        if deny is not None:
            scores[deny] = -np.inf
        best = top_k(scores, n)
        return best, scores[best]

    def similar(self, item: str, n: int = 10) -> list[Recommendation]:
        """Items like this one, by the geometry of the bundle.

        Raises:
            DataError: A name that fits no item, or several.
            BundleError: A popularity bundle knows no similarity.
        """
        index = resolve(self.items, item)
        scores = self._scorer.similar(index)
        scores[index] = -np.inf
        best = top_k(scores, n)
        return self._named(best, scores[best])

    def score(self, contexts: Contexts) -> npt.NDArray[np.float32]:
        """Scores of all items, as a ranking model gives them: float32 ``[len(contexts), n_items]``."""
        if not len(contexts):
            return np.zeros((0, self.n_items), dtype=np.float32)
        scores = self._scorer.batch(contexts.history)
        scores[contexts.history.lengths == 0] = self.popularity
        return scores

    def _named(self, items: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]) -> list[Recommendation]:
        return [
            Recommendation(self.items.ids[at], self.items.title(at), float(score))
            for at, score in zip(items.tolist(), scores, strict=True)
        ]
