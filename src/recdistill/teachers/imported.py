"""Anybody's teacher: predictions and embeddings from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, model_validator

from ..data.dataset import Catalogue, Split
from ..data.tables import Table, scan
from ..errors import ConfigError, DataError, nearest
from ..files import checksum
from ..knowledge import TAIL_BETAS, EmbeddingsStore, EmbeddingsWriter, Rankings, RankingsStore, RankingsWriter
from ..knowledge.embeddings import VectorType
from .base import TeacherConfig
from .vector_files import read_vectors

__all__ = ["Imported"]

_RANK_SCALE = 1.0
_LOWEST_REST = 1e-6


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

    def fingerprint(self) -> str:
        """Hash over parameters and files: 16 hex digits."""
        files = {key: None if file is None else checksum(_there(file)) for key, file in self._files().items()}
        return self.model_construct(**{**dict(self), **files}).digest()

    def teach(self, split: Split, path: str | Path, name: str | None = None) -> dict[str, Any]:
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
        lists = self._lists(split)
        k = min(k, split.n_items, int(np.bincount(lists["position"].to_numpy(), minlength=1).max(initial=1)))
        writer = RankingsWriter(
            path, teacher=teacher or self.name, teacher_fingerprint=self.fingerprint(), rows=split.train.n_events, k=k,
            split_fingerprint=split.fingerprint, n_items=split.n_items, meaning=f"imported predictions, {self.scores}",
        )  # fmt: skip
        positions, rankings = self._rankings(lists, k, split.n_items)
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
        rows = _indices(ids, catalogue.ids, "item", str(self.embeddings), self.unknown)
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

    def _lists(self, split: Split) -> pl.DataFrame:
        """Columns ``position``, ``item``, ``score``; best first within a position."""
        assert self.predictions is not None
        table = scan(_there(self.predictions))
        frame = self._columns(table)
        place = table.place
        user = _indices(frame["user"].to_list(), split.dataset.users, "user", place, self.unknown)
        item = _indices(frame["item"].to_list(), split.dataset.items.ids, "item", place, self.unknown)
        frame = frame.with_columns(pl.Series("user", user), pl.Series("item", item))
        frame = frame.filter((pl.col("user") >= 0) & (pl.col("item") >= 0))
        if not frame["score"].fill_null(np.nan).is_finite().all():
            raise DataError("a score is missing or not a number", where=place, hint="remove such lines")
        frame = _positions(frame, split, place).unique(["position", "item"], keep="first", maintain_order=True)
        return frame.sort(["position", "score"], descending=[False, True], maintain_order=True)

    def _columns(self, table: Table) -> pl.DataFrame:
        names = {role: self.columns.get(role, role) for role in ("user", "item", "score", "step", "rank")}
        needed = ["user", "item", *([] if self.scores == "rank" else ["score"])]
        for role in [*needed, *self.columns]:
            if names[role] not in table.columns:
                raise DataError(
                    f"no column {names[role]!r} for the {role}",
                    where=table.place,
                    hint=nearest(names[role], table.columns),
                )
        chosen = [pl.col(names[role]).cast(pl.String).alias(role) for role in ("user", "item")]
        number = {"score": pl.Float64, "step": pl.Int64, "rank": pl.Float64}
        chosen += [
            pl.col(names[r]).cast(kind, strict=False).alias(r)
            for r, kind in number.items()
            if names[r] in table.columns
        ]
        frame = table.collect(*chosen)
        if self.scores == "rank":
            order = (
                -pl.col("rank")
                if "rank" in frame.columns
                else pl.col("score")
                if "score" in frame.columns
                else -pl.int_range(pl.len())
            )
            frame = frame.with_columns(order.cast(pl.Float64).alias("score"))
        return frame

    def _rankings(self, lists: pl.DataFrame, k: int, n_items: int) -> tuple[npt.NDArray[np.int64], Rankings]:
        positions, row = np.unique(lists["position"].to_numpy(), return_inverse=True)
        place = np.arange(len(row)) - np.searchsorted(row, row)
        kept = place < k
        items = np.full((len(positions), k), -1, dtype=np.int32)
        scores = np.full((len(positions), k), -np.inf)
        items[row[kept], place[kept]] = lists["item"].to_numpy()[kept]
        scores[row[kept], place[kept]] = lists["score"].to_numpy()[kept]
        logp, rest = self._log_probabilities(scores)
        unlisted = n_items - (items >= 0).sum(axis=1)
        with np.errstate(divide="ignore"):
            each = np.log(rest) - np.log(unlisted)  # unlisted items share what is left
            tail = np.stack([np.log(unlisted) + beta * each for beta in TAIL_BETAS], axis=1)
        tail[unlisted == 0] = -np.inf
        confidence = np.ones(len(positions), dtype=np.float32)
        return positions.astype(np.int64), Rankings(items, logp.astype(np.float32), tail.astype(np.float32), confidence)

    def _log_probabilities(
        self, scores: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Log-probabilities of the listed items, and the probability of all others together."""
        if self.scores == "probability":
            listed = np.where(np.isneginf(scores), 0.0, scores)
            total = listed.sum(axis=1)
            if (listed < 0).any() or (total > 1 + 1e-3).any():
                raise DataError(
                    "probabilities of a list are negative or sum to more than 1",
                    where=self.predictions,
                    hint="use scores='logit'",
                )
            with np.errstate(divide="ignore"):
                return np.log(listed / np.maximum(total, 1)[:, None]), np.maximum(1 - total, _LOWEST_REST)
        if self.scores == "rank":
            place = np.arange(1, scores.shape[1] + 1)
            scores = np.where(np.isneginf(scores), -np.inf, -_RANK_SCALE * np.log(place))
        top = scores.max(axis=1, keepdims=True)
        total = np.log(np.exp(scores - top).sum(axis=1, keepdims=True)) + top
        return scores - total + np.log1p(-self.rest), np.full(len(scores), self.rest)


def _there(file: Path) -> Path:
    if not file.is_file():
        beside = [p.name for p in file.parent.iterdir()] if file.parent.is_dir() else []
        raise DataError("no such file", where=file, hint=nearest(file.name, beside[:50]))
    return file


def _positions(frame: pl.DataFrame, split: Split, place: str) -> pl.DataFrame:
    """Replace user and step by the index of the training event."""
    train = split.train
    if "step" in frame.columns:
        user, step = frame["user"].to_numpy(), frame["step"].fill_null(-1).to_numpy()
        wrong = (step < 0) | (step >= train.lengths[user])
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            name = split.dataset.users[int(user[row])]
            raise DataError(
                f"step {frame['step'][row]} of user {name!r}, who has {train.lengths[user[row]]} training events",
                where=place,
                hint="steps count the user's training events from 0",
            )
        return frame.with_columns(pl.Series("position", train.offsets[user] + step))
    events = pl.DataFrame({"user": train.row_of_event(), "position": np.arange(train.n_events)})
    return frame.join(events, on="user", maintain_order="left")


def _indices(found: Sequence[str], known: Sequence[str], what: str, where: str, unknown: str) -> npt.NDArray[np.int64]:
    """Index of each id, -1 where it is unknown and may be skipped."""
    index = {name: number for number, name in enumerate(known)}
    rows = np.array([index.get(name, -1) for name in found], dtype=np.int64)
    missing = list(dict.fromkeys(name for name, row in zip(found, rows.tolist(), strict=True) if row < 0))
    if missing and unknown == "error":
        count = f" (and {len(missing) - 1} others)" if len(missing) > 1 else ""
        close = nearest(str(missing[0]), known) if len(known) < 100_000 else None
        hint = close if close and close.startswith("did") else "check that ids are written as in the log"
        raise DataError(
            f"{what} {missing[0]!r}{count} is not in the data", where=where, hint=f"{hint} Or set unknown='skip'"
        )
    return rows
