"""How well items answer queries, in grades."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from ....data.dataset import Split
from ....data.tables import scan
from ....errors import ConfigError, DataError, nearest
from ....files import checksum
from ....knowledge import Knowledge, Scores, ScoresWriter
from ...ids import existing, indices_of
from ..exchange import Capabilities, Reply, Request
from ..reading import LETTERS, choice_of
from .base import Answers, ItemTexts, Job, Place, TaskConfig, batched, one_line

__all__ = ["Relevance", "RelevanceJob"]

_TOKENS = 8


class Relevance(TaskConfig):
    """The grade of each pair of query and item in a file, as a distribution over the grades.

    A server that only ranks documents gives one number for each pair instead.
    """

    name: ClassVar[str] = "relevance"

    pairs: Path = Field(description="CSV, TSV or Parquet with the columns query and item")
    grades: tuple[str, ...] = Field(
        ("irrelevant", "complementary to what is sought", "a substitute for what is sought", "exactly what is sought"),
        min_length=2, max_length=len(LETTERS), description="from bad to good",
    )  # fmt: skip
    query_characters: int = Field(300, ge=10, description="characters of a query at most; the rest is cut")

    @model_validator(mode="after")
    def _different(self) -> Relevance:
        if len(set(self.grades)) < len(self.grades):
            raise ConfigError("a grade stands twice", key=("grades",))
        return self

    def job(self, split: Split, knowledge: Knowledge, capabilities: Capabilities) -> RelevanceJob:
        table = scan(existing(self.pairs))
        for name in ("query", "item"):
            if name not in table.columns:
                raise DataError(f"no column {name!r}", where=table.place, hint=nearest(name, table.columns))
        frame = table.collect(pl.col("query").cast(pl.String).fill_null(""), pl.col("item").cast(pl.String))
        if not len(frame):
            raise DataError("has no pairs", where=table.place)
        items = indices_of(frame["item"].to_list(), split.dataset.items.ids, "item", table.place, "error")
        return RelevanceJob(self, split, frame["query"].to_list(), items, capabilities)


class RelevanceJob(Job):
    """The questions of :class:`Relevance`, one for each pair.

    Args:
        task: Its parameters.
        split: The data.
        queries: Of each pair.
        items: int64 ``[pairs]``.
        capabilities: What the model can do.
    """

    label = "judge queries"

    def __init__(
        self, task: Relevance, split: Split, queries: list[str], items: Any, capabilities: Capabilities
    ) -> None:
        self.task, self.queries, self.items, self.top = task, queries, items, capabilities.top_logprobs
        self.texts = ItemTexts(split.dataset.items, task)
        self.ranks = capabilities.rerank and not capabilities.chat
        self.prompt = task.load_prompt()
        self.prompt.check({"query", "item", "grades"})
        self.grades = "\n".join(f"{LETTERS[place]}. {grade}" for place, grade in enumerate(task.grades))

    def __len__(self) -> int:
        return len(self.queries)

    def request(self, number: int) -> Request | None:
        query = one_line(self.queries[number], self.task.query_characters)
        item = self.texts[int(self.items[number])]
        if not query or not item:
            return None
        if self.ranks:
            return Request("rerank", {"query": query, "documents": [item]})
        return self.chat(1 if self.top else _TOKENS, self.top, query=query, item=item, grades=self.grades)

    def readable(self, number: int, reply: Reply) -> bool:
        return self._logits(reply) is not None

    def _logits(self, reply: Reply) -> tuple[Any, float] | None:
        if self.ranks:
            return None if reply.numbers is None else (reply.numbers, 1.0)
        return choice_of(reply, LETTERS[: len(self.task.grades)])

    def write(self, answers: Answers, place: Place) -> dict[str, Any]:
        classes = ["relevance"] if self.ranks else list(self.task.grades)
        writer = ScoresWriter(
            Path(place.path) / "scores", teacher=place.teacher, teacher_fingerprint=place.fingerprint,
            dataset_fingerprint=checksum(self.task.pairs)[:16], rows=len(self), classes=classes, keyed_by="pair",
            keys=["item"], prompt_hash=None if self.ranks else self.prompt.digest,
            meaning="relevance as a ranking model gives it" if self.ranks else "log-probability of each grade",
        )  # fmt: skip
        written = 0
        with writer:
            for batch in batched(answers, 4096):
                rows = np.array([number for number, _ in batch], dtype=np.int64)
                logits = np.zeros((len(rows), len(classes)), dtype=np.float32)
                sure = np.zeros(len(rows), dtype=np.float32)
                for row, (_, reply) in enumerate(batch):
                    found = reply and self._logits(reply)
                    if found:
                        logits[row], sure[row] = found
                written += int((sure > 0).sum())
                left = ~writer.done[rows]
                if left.any():
                    keys = self.items[rows][:, None].astype(np.int32)
                    writer.add(rows[left], Scores(logits, sure, keys).take(np.flatnonzero(left)))
        writer.seal(answers=written)
        return {"pairs": len(self), "judged": written}
