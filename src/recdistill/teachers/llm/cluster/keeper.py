"""The keeper of a job: its journal and its purse, for workers on any machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ....errors import RecdistillError
from ..budget import Budget, Prices, Purse
from ..journal import Claim, Journal, Known, Outcome

__all__ = ["Keeper", "Standing"]

_NEWS_SECONDS = 30.0
"""So long after the last news nobody is taken to bring any back of what is set aside."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands.

    Attributes:
        settled: Outcomes that were filed by this keeper.
        words: What is spent, for people.
    """

    settled: int
    words: str


class Keeper:
    """Files what workers bring, and lets them ask what is open and can be paid.

    What a worker had set aside when it died stays so to the end of the run: it may have been spent.

    Args:
        path: The journal.
        job: What is worked on.
        budget: What may be spent.
        prices: What things cost.
        addresses: Of servers of the model; empty where workers have it themselves.
    """

    def __init__(self, path: Path, job: str, budget: Budget, prices: Prices, addresses: Sequence[str]) -> None:
        self._journal = Journal(path, job)
        self._purse = Purse(budget, prices, self._journal.spent())
        self._addresses, self._joined = list(addresses), 0
        self._settled, self._lap, self._news = 0, time.monotonic(), time.monotonic()
        self._stop: RecdistillError | None = None

    def join(self) -> str | None:
        """Which server a new worker asks: each in turn; None if it has the model itself."""
        self._lap = time.monotonic() if not self._joined else self._lap  # models were loaded until now
        self._joined += 1
        return self._addresses[self._joined % len(self._addresses)] if self._addresses else None

    def leave(self, address: str, why: RecdistillError) -> str | None:
        """A server does not answer any more; the one to ask instead, or None if that was the last: then all stops."""
        if address in self._addresses:
            self._addresses.remove(address)
        if not self._addresses:
            self.stop(why)
            return None
        return self.join()

    def known(self, keys: Sequence[bytes]) -> dict[bytes, Known]:
        """See :meth:`Journal.known`."""
        return self._journal.known(keys)

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Known]:
        """See :meth:`Journal.read`."""
        return self._journal.read(keys)

    def commit(self, claims: Sequence[tuple[bytes, int]], outcomes: Sequence[Outcome]) -> list[Claim] | None:
        """See :meth:`Journal.commit`; None if nothing more is to be asked. Time is the job's, not each worker's."""
        now = time.monotonic()
        seconds, self._lap, self._news = now - self._lap, now, now
        self._purse.pass_time(seconds)
        self._settled += len(outcomes)
        found = self._journal.commit([] if self._stop else claims, outcomes, seconds)
        self._purse.align(*self._journal.account)
        return None if self._stop else found

    def give_back(self, keys: Sequence[bytes]) -> None:
        """See :meth:`Journal.give_back`."""
        self._journal.give_back(keys)

    def reserve(self, most: tuple[int, int]) -> tuple[str, bool] | None:
        """Set aside what an exchange can cost at most; if it does not fit: the limit, and if others may free it."""
        if self._purse.reserve(most):
            return None
        waiting = self._purse.set_aside > 0 and time.monotonic() - self._news < _NEWS_SECONDS
        return self._purse.exceeded_by(most) or "", waiting

    def settle(self, most: tuple[int, int], tokens_in: int, tokens_out: int) -> None:
        """See :meth:`Purse.settle`."""
        self._news = time.monotonic()
        self._purse.settle(most, tokens_in, tokens_out)

    def forget(self, most: tuple[int, int]) -> None:
        """See :meth:`Purse.forget`."""
        self._purse.forget(most)

    def stop(self, why: RecdistillError) -> None:
        """Nothing more is asked; what is under way is still filed. The first reason counts."""
        self._stop = self._stop or why

    def stopped(self) -> RecdistillError | None:
        """Why nothing more is asked, if so."""
        return self._stop

    def standing(self) -> Standing:
        """For the progress line."""
        purse = self._purse
        return Standing(self._settled, Purse(purse.budget, purse.prices, self._journal.spent()).words)

    def close(self) -> None:
        """Let the journal go."""
        self._journal.close()
