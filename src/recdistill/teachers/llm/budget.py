"""What may be spent, what a token costs, and whether one more question is within it."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field

from ...config import Config
from ...errors import TeacherError
from .journal import Spent

__all__ = ["Budget", "BudgetSpent", "Prices", "Purse", "in_money"]


class Prices(Config):
    """What the tokens of a model cost, in any currency."""

    name: ClassVar[str] = "prices"

    input: float = Field(0.0, ge=0, description="of a million tokens read")
    output: float = Field(0.0, ge=0, description="of a million tokens written")
    request: float = Field(0.0, ge=0, description="of a request, whatever its length")
    currency: str = "USD"

    def of(self, sent: float, tokens_in: float, tokens_out: float) -> float:
        """What so much costs."""
        return sent * self.request + (tokens_in * self.input + tokens_out * self.output) / 1e6


class Budget(Config):
    """What a job may cost, all its runs together; it stops before any of it is exceeded."""

    name: ClassVar[str] = "budget"

    money: float | None = Field(None, ge=0, description="in the currency of prices")
    tokens: int | None = Field(None, ge=0, description="read and written")
    requests: int | None = Field(None, ge=0, description="sent, repeated ones counted")
    hours: float | None = Field(None, ge=0, description="of asking")

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return any(limit is not None for _, limit in self)


class BudgetSpent(TeacherError):
    """What may be spent is spent; every answer that was paid for is in the journal.

    Args:
        limit: The limit that it could exceed, in words.
        spent: What was spent, in words.
        left: Questions that are open.
        total: Questions in all.
    """

    def __init__(self, limit: str, spent: str, left: int, total: int) -> None:
        self.limit = limit
        super().__init__(
            f"the budget of {limit} is spent ({spent}); {left:,} of {total:,} questions are open",
            hint="raise the budget, and the same command goes on from there",
        )


class Purse:
    """Lets a question through only if its dearest course fits what is left beside all that is under way.

    Args:
        budget: What may be spent.
        prices: What things cost.
        before: What earlier runs of the job have spent.
    """

    def __init__(self, budget: Budget, prices: Prices, before: Spent) -> None:
        self.budget, self.prices = budget, prices
        self._sent, self._in, self._out, self._seconds = (
            before.sent,
            before.tokens_in,
            before.tokens_out,
            before.seconds,
        )
        self._filed = before
        self._reserved = [0, 0, 0]

    @property
    def set_aside(self) -> int:
        """Exchanges that are under way."""
        return self._reserved[0]

    @property
    def others(self) -> bool:
        """Whether what others have set aside may come free; here there are no others."""
        return False

    @property
    def spent(self) -> Spent:
        """Spent until now, earlier runs included."""
        return Spent(self._sent, self._in, self._out, self._seconds)

    @property
    def money(self) -> float:
        """The same in money."""
        return self.prices.of(self._sent, self._in, self._out)

    def reserve(self, most: tuple[int, int]) -> bool:
        """Set the most that an exchange can cost aside (tokens in and out); False if that does not fit now."""
        if self.exceeded_by(most) is not None:
            return False
        self._aside(1, *most)
        return True

    def settle(self, most: tuple[int, int], tokens_in: int, tokens_out: int) -> None:
        """Replace what was set aside by what it was."""
        self._aside(-1, -most[0], -most[1])
        self._sent, self._in, self._out = self._sent + 1, self._in + tokens_in, self._out + tokens_out

    def forget(self, most: tuple[int, int]) -> None:
        """Give back what was set aside for an exchange that did not happen."""
        self._aside(-1, -most[0], -most[1])

    def pass_time(self, seconds: float) -> None:
        """Count time."""
        self._seconds += seconds

    def align(self, before: Spent, after: Spent) -> bool:
        """Count what another process has spent on the same job; whether it has.

        What it has under way is not known before it files it, and may exceed the budget by so much.

        Args:
            before: The journal's account just before this process filed something.
            after: The same just after.
        """
        known = self._filed
        self._sent, self._in = self._sent + before.sent - known.sent, self._in + before.tokens_in - known.tokens_in
        self._out, self._seconds = (
            self._out + before.tokens_out - known.tokens_out,
            self._seconds + before.seconds - known.seconds,
        )
        self._filed = after
        return before != known

    def exceeded_by(self, most: tuple[int, int]) -> str | None:
        """The first limit that one more exchange may exceed, in words; None if all is within."""
        held, b = self._reserved, self.budget
        sent, read, written = self._sent + held[0] + 1, self._in + held[1] + most[0], self._out + held[2] + most[1]
        if b.money is not None and self.prices.of(sent, read, written) > b.money:
            return f"{b.money:g} {self.prices.currency}"
        if b.tokens is not None and read + written > b.tokens:
            return f"{b.tokens:,} tokens"
        if b.requests is not None and sent > b.requests:
            return f"{b.requests:,} requests"
        if b.hours is not None and self._seconds >= b.hours * 3600:
            return f"{b.hours:g} hours"
        return None

    def _aside(self, sent: int, read: int, written: int) -> None:
        held = self._reserved
        held[0], held[1], held[2] = held[0] + sent, held[1] + read, held[2] + written

    @property
    def words(self) -> str:
        """Spent until now, for people."""
        tokens = f"{_short(self._in)} tokens in, {_short(self._out)} out"
        return f"{tokens}, {in_money(self.money)} {self.prices.currency}" if self.money else tokens


def in_money(value: float) -> str:
    """An amount with cents, or with two digits where it is less than one of them: ``1,250.00``, ``0.0014``."""
    digits = 2 if value >= 0.01 or value <= 0 else min(8, 1 - math.floor(math.log10(value)))
    return f"{value:,.{digits}f}"


def _short(number: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f}"
