"""Attributes of items."""

from __future__ import annotations

import json
from types import NoneType
from typing import ClassVar

from pydantic import Field

from ....data.dataset import Split
from ....knowledge import Knowledge
from ..exchange import Capabilities, Reply, Request
from ..reading import json_of
from .items import ItemJob, ItemTask
from .written import WrittenJob

__all__ = ["Attributes", "AttributesJob"]


class Attributes(ItemTask):
    """Some attributes of each item as a JSON object of short texts; null where the model does not know."""

    name: ClassVar[str] = "attributes"

    names: tuple[str, ...] = Field(
        ("genre", "theme", "mood", "audience"), min_length=1, description="attributes asked for"
    )
    tokens: int = Field(160, ge=16, description="of an answer at most")

    def job(self, split: Split, knowledge: Knowledge, capabilities: Capabilities) -> AttributesJob:
        return AttributesJob(self, split, capabilities)


class AttributesJob(WrittenJob, ItemJob):
    """The questions of :class:`Attributes`.

    Args:
        task: Its parameters.
        split: The data.
        capabilities: What the model can do.
    """

    label, keyed_by, form = "find attributes", "item", "json"
    meaning = "attributes of the item, as a language model knows or guesses them"

    def __init__(self, task: Attributes, split: Split, capabilities: Capabilities) -> None:
        super().__init__(task, split)
        self.task, self.json = task, capabilities.json_mode
        self.prompt = task.load_prompt()
        self.prompt.check({"item", "fields"})
        self.fields = ", ".join(f'"{field}"' for field in task.names)

    def reminder(self, number: int) -> str:
        return self.prompt.reminder(fields=self.fields)

    def about(self, text: str) -> Request:
        return self.chat(self.task.tokens, json=self.json, item=text, fields=self.fields)

    def text(self, reply: Reply) -> str | None:
        found = json_of(reply.text, dict.fromkeys(self.task.names, (str, NoneType)))
        return None if found is None else json.dumps(found, ensure_ascii=False)
