"""Jobs without a server: an oracle answers their questions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recdistill.knowledge import Knowledge
from recdistill.teachers.llm.exchange import Capabilities, Reply, Request
from recdistill.teachers.llm.tasks.base import Job, Place

__all__ = ["ABLE", "BARE", "follows", "offered", "said", "settle", "shown_history"]

ABLE = Capabilities("m", "m", 20, True, 4096, True, False)
"""A model with everything."""
BARE = Capabilities("m", "m")
"""A model that only writes."""


def said(request: Request) -> str:
    """The question."""
    return str(request.body["messages"][-1]["content"])


def shown_history(text: str) -> list[int]:
    """Numbers of the items in the history of a question."""
    return [int(n) for n in re.findall(r"^\d+\. Item (\d+)$", text, flags=re.MULTILINE)]


def offered(text: str) -> dict[str, int]:
    """Letters and numbers of the items that a question offers."""
    return {letter: int(n) for letter, n in re.findall(r"^([A-Z])\. Item (\d+)$", text, flags=re.MULTILINE)}


def follows(request: Request) -> Reply:
    """An oracle of the tiny split's chain: the item after the newest is likeliest, others by their distance."""
    text = said(request)
    newest, letters = shown_history(text)[-1], offered(text)
    logits = {letter: -0.3 * min(abs(item - newest - 1), 12) for letter, item in letters.items()}
    total = math.log(sum(math.exp(value) for value in logits.values()))
    top = sorted(((letter, value - total) for letter, value in logits.items()), key=lambda pair: -pair[1])
    if "joined by >" in text:
        return Reply(" > ".join(letter for letter, _ in top))
    return Reply(top[0][0], [top[:20]])


def settle(job: Job, oracle: Callable[[Request], Reply | None], path: Path, name: str = "llm") -> tuple[Knowledge, Any]:
    """Ask the oracle everything and write the stores; what cannot be read counts as no answer."""

    def answers() -> Any:
        for number in range(len(job)):
            request = job.request(number)
            reply = None if request is None else oracle(request)
            yield number, reply if reply is not None and job.readable(number, reply) else None

    facts = job.write(answers(), Place(path, name, "f"))
    return Knowledge.open(path), facts
