"""A limit on requests per second for each client: the token bucket."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Rates"]

_CLIENTS = 10_000
"""Clients that are remembered; beyond that, the one that was quiet for longest is forgotten."""


class Rates:
    """A bucket for each client: it holds ``burst`` requests and is filled with ``rate`` a second.

    Args:
        rate: Requests per second; 0 lets everything through.
        burst: Requests that may come at once.
        clock: Seconds that only grow.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Take a request out of the client's bucket: 0.0, or the seconds until there is one to take."""
        if not self._rate:
            return 0.0
        now = self._clock()
        left, since = self._left.pop(client, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._rate)
        allowed = left >= 1
        self._left[client] = (left - allowed, now)
        if len(self._left) > _CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate
