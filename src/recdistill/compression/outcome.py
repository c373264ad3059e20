"""What a chain of compression found: every candidate with its cost and its quality, and the one that was picked.

The JSON form, ``compression.json``, is the fields of :class:`Outcome`. Shares are between 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ..config import read_model
from ..files import write_text
from .budget import Budget

__all__ = ["FILE", "Outcome", "Row", "chosen", "front"]

FILE = "compression.json"
"""Name of its JSON form in a run directory."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Figure = Annotated[float | None, BeforeValidator(_finite)]
"""None where nothing could be measured: no target lies in the tail, nothing was ranked right to begin with."""


class Row(_Part):
    """One candidate: the uncompressed model, or what a step made of the one before it."""

    name: str = Field(description="'uncompressed', or the name of the step, numbered where it comes again")
    step: dict[str, Any] = Field({}, description="the step's parameters")
    kept: bool = Field(description="whether the gate let it pass; the next step goes on from the last one that is kept")
    reason: str = Field(description="of the gate, in words")
    ndcg: Figure = Field(None, description="NDCG@10 on validation; None if the step did not come to an end")
    change: Figure = Field(None, description="NDCG@10 less that of the uncompressed model, as a share of it")
    low: Figure = Field(None, description="lower end of its 95 % interval")
    high: Figure = None
    overlap: Figure = Field(None, description="share of the uncompressed model's first 10 items that came")
    tail: Figure = Field(None, description="recall@10 of the targets in the tail")
    tail_change: Figure = Field(None, description="the same for the tail")
    parameters: int | None = None
    bytes: int | None = Field(None, description="of the whole bundle on disk")
    model_bytes: int | None = Field(None, description="of vectors and encoder alone")
    p50_ms: Figure = Field(None, description="median time of one recommendation, in process, on one thread")
    p99_ms: Figure = None
    pareto: bool = Field(False, description="kept, and none is as good at less size and time")
    picked: bool = False


class Outcome(_Part):
    """A chain and its candidates."""

    model: str = Field(description="name of the model, as in a recipe")
    contexts: int = Field(description="validation contexts that were asked")
    max_drop: float
    budget: Budget = Budget()
    rows: tuple[Row, ...]

    @property
    def picked(self) -> Row | None:
        """The candidate that is served, if one fits the budget."""
        return next((row for row in self.rows if row.picked), None)

    @property
    def whole(self) -> Row:
        """The uncompressed model."""
        return self.rows[0]

    def write(self, path: str | Path) -> None:
        """Write the JSON form, atomically."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def beside(cls, directory: str | Path) -> Outcome | None:
        """Of a run directory; None where nothing was compressed.

        Raises:
            RunError: The file is of another form.
        """
        path = Path(directory) / FILE
        return cls.read(path) if path.exists() else None

    @classmethod
    def read(cls, path: str | Path) -> Outcome:
        """Read the JSON form.

        Raises:
            RunError: There is no such file, or it is of another form.
        """
        return read_model(cls, path, absent="run: recdistill compress", broken="compress again")


def front(rows: Sequence[Row]) -> list[bool]:
    """Which candidates no other one makes pointless.

    One is pointless if another that was kept is at least as good in NDCG, bytes and median time, and better in one.
    """
    costs = [None if not row.kept or row.ndcg is None else (-row.ndcg, row.bytes, row.p50_ms) for row in rows]

    def beaten(own: tuple[Any, ...]) -> bool:
        others = [cost for cost in costs if cost is not None and cost != own]
        return any(all(a <= b for a, b in zip(other, own, strict=True)) for other in others)

    return [own is not None and not beaten(own) for own in costs]


def chosen(rows: Sequence[Row], budget: Budget) -> int | None:
    """The candidate to serve: its index, or None if none that was kept fits the budget.

    With a budget, the best NDCG that fits it, of equals the smaller one. Without, the smallest, for all that were kept
    are as good as the gate asks.
    """
    fitting = [
        at
        for at, row in enumerate(rows)
        if row.kept
        and row.ndcg is not None
        and (budget.under is None or (row.bytes or 0) <= budget.under)
        and (budget.faster_than is None or (row.p50_ms or 0.0) <= budget.faster_than)
    ]
    bounded = budget.under is not None or budget.faster_than is not None

    def order(at: int) -> tuple[float, float]:
        quality, size = rows[at].ndcg or 0.0, float(rows[at].bytes or 0)
        return (-quality, size) if bounded else (size, -quality)

    return min(fitting, key=order, default=None)
