"""Anybody's teacher: predictions and embeddings from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from ..data.dataset import Catalogue, Split
from ..errors import ConfigError, DataError
from ..files import checksum
from ..knowledge import EmbeddingsStore, EmbeddingsWriter, Knowledge, RankingsStore, RankingsWriter
from ..knowledge.embeddings import VectorType
from .base import TeacherConfig
from .ids import existing, indices_of
from .prediction_files import rankings_of_lists, read_lists
from .vector_files import read_vectors

__all__ = ["Imported"]


class Imported(TeacherConfig):
    """Predictions (a list of items for each user, or each step of a user) and item embeddings that are in files.

    Predictions are one line per item: columns for user, item, score and, if lists differ from event to event, step: the
    number (from 0) of the training event of that user which the list was made for. Without steps a user's list counts
    at each of the user's events. Embeddings are a table with an item column and either one column of lists or many
    of numbers, an ``.npy`` matrix or a ``.safetensors`` file; the last two in the order of the catalogue or of ``ids``.
    """

    name: ClassVar[str] = "imported"

    predictions: Path | None = Field(None, description="CSV, TSV or Parquet")
    embeddings: Path | None = Field(None, description="CSV, TSV, Parquet, .npy or .safetensors")
    columns: dict[Literal["user", "item", "score", "step", "rank"], str] = Field(
        {}, description="names of the columns where they are others"
    )
    scores: Literal["logit", "probability", "rank"] = Field(
        "logit", description="what a score is; rank: ignore scores, only the order counts"
    )
    rest: float = Field(
        0.1, gt=0, lt=1, description="probability of all unlisted items together, unless scores are probabilities"
    )
    ids: Path | None = Field(None, description="item ids of the rows of a matrix, one per line")
    tensor: str | None = Field(None, description="name of the matrix in a .safetensors file")
    unknown: Literal["error", "skip"] = Field("error", description="what to do with ids that the data lack")

    @model_validator(mode="after")
    def _something(self) -> Imported:
        if self.predictions is None and self.embeddings is None:
            raise ConfigError(
                "nothing to import", key=("predictions",), hint="name a file of predictions or embeddings"
            )
        return self

    def reads_log(self) -> bool:
        return self.predictions is not None  # which are for the positions of one split

    def inputs(self) -> tuple[str, ...]:
        return (self.fingerprint(),)

    def fingerprint(self) -> str:
        """Hash over parameters and files: 16 hex digits."""
        files = {key: None if file is None else checksum(existing(file)) for key, file in self._files().items()}
        return self.model_construct(**{**dict(self), **files}).digest()

    def teach(
        self, split: Split, path: str | Path, name: str | None = None, knowledge: Knowledge | None = None
    ) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        if self.predictions is not None:
            store = self.label(split, Path(path) / "rankings", teacher=name)
            facts |= {"positions": store.manifest.extra["answers"], "k": store.k}
        if self.embeddings is not None:
            items = self.embed_items(split.dataset.items, Path(path) / "embeddings", teacher=name)
            facts |= {"items": int(items.written.sum()), "dim": items.dim}
        return facts

    def label(self, split: Split, path: str | Path, k: int = 100, teacher: str | None = None) -> RankingsStore:
        """Bring predictions into a store.

        Args:
            split: The data they are for.
            path: Directory of the store.
            k: Items in a ranking at most.
            teacher: Name that students know it by.

        Raises:
            DataError: A file, column, user, item or step that is not there, or a score that is not a number.
        """
        if self.predictions is None:
            raise ConfigError("no predictions to import", key=("predictions",))
        lists = read_lists(self.predictions, split, dict(self.columns.items()), self.scores == "rank", self.unknown)
        listed = lists["position"].to_numpy()
        k = min(k, split.n_items, int(np.bincount(listed, minlength=1).max(initial=1)))
        writer = RankingsWriter(
            path, teacher=teacher or self.name, teacher_fingerprint=self.fingerprint(), k=k, n_items=split.n_items,
            rows=split.train.n_positions, split_fingerprint=split.fingerprint,
            contexts=_contexts(listed >= split.train.n_events), meaning=f"imported predictions, {self.scores}",
        )  # fmt: skip
        positions, rankings = rankings_of_lists(
            lists, k, split.n_items, None if self.scores == "probability" else self.rest
        )
        if not writer.done.all():
            left = ~writer.done[positions]
            with writer:
                writer.add(positions[left], rankings.take(np.flatnonzero(left)))
        return writer.seal(answers=len(positions))

    def embed_items(
        self, catalogue: Catalogue, path: str | Path, teacher: str | None = None, dtype: VectorType = "float16"
    ) -> EmbeddingsStore:
        """Bring item embeddings into a store; items without one stay unwritten and read as zeros.

        Raises:
            DataError: A file, column or item that is not there, or vectors of several widths.
        """
        if self.embeddings is None:
            raise ConfigError("no embeddings to import", key=("embeddings",))
        ids, vectors = read_vectors(self.embeddings, self.ids, self.tensor, self.columns.get("item"), catalogue)
        rows = indices_of(ids, catalogue.ids, "item", str(self.embeddings), self.unknown)
        known = rows >= 0
        rows, vectors = rows[known], vectors[known]
        if len(np.unique(rows)) < len(rows):
            twice = catalogue.ids[int(np.flatnonzero(np.bincount(rows) > 1)[0])]
            raise DataError(f"item {twice!r} has two vectors", where=self.embeddings, hint="keep one of them")
        writer = EmbeddingsWriter(
            path, teacher=teacher or self.name, teacher_fingerprint=self.fingerprint(), rows=len(catalogue),
            dataset_fingerprint=catalogue.fingerprint, dim=vectors.shape[1], dtype=dtype, meaning="imported embedding",
        )  # fmt: skip
        left = ~writer.done[rows]
        if left.any():
            with writer:
                writer.add(rows[left], vectors[left])
        return writer.seal()

    def _files(self) -> dict[str, Path | None]:
        return {"predictions": self.predictions, "embeddings": self.embeddings, "ids": self.ids}


def _contexts(at_end: npt.NDArray[np.bool_]) -> Literal["all", "events", "ends"]:
    """Which kind of positions the lists are for: what a student that knows users only can learn from is the ends."""
    if at_end.all():
        return "ends" if len(at_end) else "all"
    return "all" if at_end.any() else "events"
