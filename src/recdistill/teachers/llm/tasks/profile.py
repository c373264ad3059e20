"""What a user likes, and why."""

from __future__ import annotations

import json
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from ....data.dataset import Split
from ....knowledge import Knowledge
from ..asked import Asked, asked_at
from ..exchange import Capabilities, Reply, Request
from ..reading import in_language, json_of
from .contexts import ContextJob, ContextTask
from .written import WrittenJob

__all__ = ["Profile", "ProfileJob"]

_KEYS = {"profile": str, "likes": list, "avoids": list, "reason": str}


class Profile(ContextTask):
    """A profile of each user with its reasons, as a JSON object: profile, likes, avoids, reason."""

    name: ClassVar[str] = "profile"

    at: Literal["ends"] = Field("ends", description="after each user's last training event")
    history: int = Field(20, ge=1, description="newest events of a history that are shown")
    tokens: int = Field(300, ge=16, description="of an answer at most")

    def job(self, split: Split, knowledge: Knowledge, capabilities: Capabilities) -> ProfileJob:
        return ProfileJob(self, split, asked_at(split.train, self.positions(split), self.history), capabilities)


class ProfileJob(WrittenJob, ContextJob):
    """The questions of :class:`Profile`, one for each user.

    Args:
        task: Its parameters.
        split: The data.
        asked: The contexts.
        capabilities: What the model can do.
    """

    label, keyed_by, form = "describe users", "user", "json"
    meaning = "what a language model says that a user likes, and why"

    def __init__(self, task: Profile, split: Split, asked: Asked, capabilities: Capabilities) -> None:
        super().__init__(task, split, asked)
        self.task, self.json = task, capabilities.json_mode
        self.rows, self.total, self.of = asked.users.astype(np.int64), split.n_users, split.fingerprint
        self.prompt = task.load_prompt()
        self.prompt.check({"history"})

    def request(self, number: int) -> Request | None:
        history = self.history(number)
        return self.chat(self.task.tokens, json=self.json, history=history) if history else None

    def text(self, reply: Reply) -> str | None:
        found = json_of(reply.text, _KEYS)
        if found is None or not in_language(found["profile"], self.task.language):
            return None
        return json.dumps(found, ensure_ascii=False, sort_keys=True)
