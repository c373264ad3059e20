"""A job of simple questions, and an engine for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recdistill.teachers.llm.backends.endpoint import Endpoint
from recdistill.teachers.llm.budget import Budget, Prices, Purse
from recdistill.teachers.llm.engine import Again, Asked, Engine, Patience, run_async
from recdistill.teachers.llm.exchange import Reply, Request
from recdistill.teachers.llm.journal import Journal
from recdistill.teachers.llm.pace import PaceConfig

__all__ = ["Numbers", "ask"]


class Numbers:
    """Asks for numbers; question ``n`` is "number n"; ``none`` have nothing to ask about, ``twins`` ask the same."""

    label = "ask"

    def __init__(self, n: int, none: tuple[int, ...] = (), twins: int | None = None) -> None:
        self.n, self.none, self.twins = n, none, twins

    def __len__(self) -> int:
        return self.n

    def reminder(self, number: int) -> str:
        return "Answer with a number."

    def request(self, number: int) -> Request | None:
        if number in self.none:
            return None
        content = f"number {number if self.twins is None else number % self.twins}"
        return Request("chat", {"messages": [{"role": "user", "content": content}], "max_tokens": 5}, "p1")

    def readable(self, number: int, reply: Reply) -> bool:
        return reply.text.isdecimal()


def ask(url: str, folder: Path, questions: Any, **changes: Any) -> Asked:
    """Ask all; parameters of endpoint, budget, prices, patience, again and pace by their names."""
    known: dict[str, dict[str, Any]] = {"patience": {"tries": 3, "seconds": 2.0}, "pace": {"start": 4, "most": 8}}
    settings = {name: known.get(name, {}) | changes.get(name, {}) for name in ("patience", "pace")}
    job = changes.get("job", "job")

    async def work() -> Asked:
        endpoint = await Endpoint(url=url, **changes.get("endpoint", {})).open()
        with Journal(folder / "journal.sqlite", job) as journal:
            purse = Purse(Budget(**changes.get("budget", {})), Prices(**changes.get("prices", {})), journal.spent())
            engine = Engine(
                questions, endpoint, journal, purse, PaceConfig(**settings["pace"]), Patience(**settings["patience"]),
                Again(**changes.get("again", {})),
            )  # fmt: skip
            try:
                return await engine.run(changes.get("numbers"))
            finally:
                await endpoint.close()

    return run_async(work())
