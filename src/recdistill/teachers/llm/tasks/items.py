"""What tasks about items share."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from ....data.dataset import Split
from ..exchange import Request
from .base import ItemTexts, Job, TaskConfig

__all__ = ["ItemJob", "ItemTask"]


class ItemTask(TaskConfig):
    """Parameters of a task about items."""

    item: Literal["title", "text"] = Field("text", description="what is said of an item")
    item_characters: int = Field(1000, ge=10, description="characters of it at most; the rest is cut")
    items: int | None = Field(None, ge=1, description="items asked about, the most popular first; None: all")

    def reads_log(self) -> bool:
        return self.items is not None


class ItemJob(Job):
    """Questions about items, one for each.

    Args:
        task: Its parameters.
        split: The data.
    """

    def __init__(self, task: ItemTask, split: Split) -> None:
        super().__init__()
        self.texts = ItemTexts(split.dataset.items, task)
        order = np.argsort(-split.popularity, kind="stable")[: task.items]
        self.rows = np.sort(order).astype(np.int64)
        self.total, self.of = split.n_items, split.dataset.items.fingerprint

    def __len__(self) -> int:
        return len(self.rows)

    def request(self, number: int) -> Request | None:
        text = self.texts[int(self.rows[number])]
        return self.about(text) if text else None

    def about(self, text: str) -> Request:
        """The question about an item of which this is known."""
        raise NotImplementedError
