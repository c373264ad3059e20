"""Descriptions of items, for text encoders to read."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ....data.dataset import Split
from ....knowledge import Knowledge
from ..exchange import Capabilities, Reply, Request
from ..reading import in_language, plain
from .items import ItemJob, ItemTask
from .written import WrittenJob

__all__ = ["Enrichment", "EnrichmentJob"]


class Enrichment(ItemTask):
    """A description of each item in a few plain sentences."""

    name: ClassVar[str] = "enrichment"

    tokens: int = Field(160, ge=16, description="of an answer at most")

    def job(self, split: Split, knowledge: Knowledge, capabilities: Capabilities) -> EnrichmentJob:
        return EnrichmentJob(self, split)


class EnrichmentJob(WrittenJob, ItemJob):
    """The questions of :class:`Enrichment`.

    Args:
        task: Its parameters.
        split: The data.
    """

    label, keyed_by, form = "describe items", "item", "text"
    meaning = "description of the item by a language model"

    def __init__(self, task: Enrichment, split: Split) -> None:
        super().__init__(task, split)
        self.task = task
        self.prompt = task.load_prompt()
        self.prompt.check({"item"})

    def about(self, text: str) -> Request:
        return self.chat(self.task.tokens, item=text)

    def text(self, reply: Reply) -> str | None:
        found = " ".join(plain(reply.text).split())
        if reply.cut:  # without the sentence that has no end
            found = found[: max(found.rfind(end) for end in ".!?。！？") + 1]
        return found if found and in_language(found, self.task.language) else None
