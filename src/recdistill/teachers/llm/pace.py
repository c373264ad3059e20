"""How much is asked at once, and how fast: found out while asking, and never more than was allowed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import ClassVar

from pydantic import Field, model_validator

from ...config import Config
from ...errors import ConfigError

__all__ = ["Bucket", "Pace", "PaceConfig", "pause"]

_ROUND_SECONDS = 0.5
"""A round lasts at least this long, so that its rate means something."""
_WORTH = 1.05
"""A higher concurrency must raise the rate by this factor, or it only lengthens the queue there."""
_FADE = 0.99
"""What is left of the best rate after each round: servers change."""


class PaceConfig(Config):
    """How much may be asked at once, and how often.

    Concurrency is raised as long as that raises the rate, doubling at first and by a tenth after the first setback, and
    lowered by three tenths when the server says that it has too much to do.
    """

    name: ClassVar[str] = "pace"

    start: int = Field(8, ge=1, description="questions asked at once in the beginning")
    most: int = Field(128, ge=1, description="questions asked at once at most")
    requests_per_minute: float | None = Field(None, gt=0, description="the endpoint's limit of requests, if there is")
    tokens_per_minute: float | None = Field(None, gt=0, description="the endpoint's limit of tokens, if there is")

    @property
    def rates(self) -> dict[str, float | None]:
        """The limits of a minute, by their names."""
        return {"requests_per_minute": self.requests_per_minute, "tokens_per_minute": self.tokens_per_minute}

    @model_validator(mode="after")
    def _in_order(self) -> PaceConfig:
        if self.start > self.most:
            raise ConfigError(f"start is {self.start}, above most, {self.most}", key=("start",))
        return self


class Pace:
    """The concurrency in use: additive increase, multiplicative decrease, guided by the rate that comes of it.

    Args:
        config: Its limits.
        clock: Seconds, monotonic.
    """

    def __init__(self, config: PaceConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.most, self._limit = config.most, float(config.start)
        self._best, self._slow, self._idle = 0.0, False, 0
        self._cut = clock() - _ROUND_SECONDS
        self._begin()

    @property
    def limit(self) -> int:
        """Questions that may be with the server now."""
        return int(self._limit)

    @property
    def rising(self) -> bool:
        """Whether no higher concurrency has been found useless yet."""
        return not self._slow and self._limit < self.most

    def done(self) -> None:
        """A question was answered."""
        self._count += 1
        seconds = self._clock() - self._start
        if self._count >= self._limit and seconds >= _ROUND_SECONDS:
            self._judge(self._count / seconds)

    def overloaded(self) -> None:
        """The server has too much to do; counts once in a round, as many hear it at the same time."""
        if self._clock() - self._cut >= _ROUND_SECONDS:
            self._limit = max(1.0, self._limit * 0.7)
            self._cut, self._slow, self._best = self._clock(), True, 0.0
            self._begin()

    def _begin(self) -> None:
        self._start, self._count = self._clock(), 0

    def _judge(self, rate: float) -> None:
        if rate > self._best * _WORTH:
            self._best, self._idle = rate, 0
            self._limit = min(self.most, self._limit * (1.1 if self._slow else 2.0) + (1.0 if self._slow else 0.0))
        else:
            self._slow, self._idle = True, self._idle + 1
            self._best = max(self._best * _FADE, rate)
            if self._idle % 8 == 0:  # look again from time to time whether more has become worth it
                self._limit = min(self.most, self._limit + 1.0)
        self._begin()


class Bucket:
    """Lets so much a minute through, and a tenth of that at once.

    Args:
        per_minute: Its rate; None lets everything through.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._rate = per_minute / 60 if per_minute else None
        self._most = max(per_minute / 10, 1.0) if per_minute else 0.0
        self._level, self._at = self._most, time.monotonic()

    def take(self, amount: float) -> float:
        """Take some; seconds to wait before it may be used."""
        if self._rate is None:
            return 0.0
        now = time.monotonic()
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        self._level -= amount
        return max(0.0, -self._level / self._rate)


def pause(tries: int, wait: float | None) -> float:
    """Seconds before the next try: what the server asks for, else twice as long each time, with full jitter.

    Args:
        tries: Tries before this one, at least 1.
        wait: What the server asks for, if it does; a little is added, so that not all come back at once.
    """
    if wait is not None:
        return min(wait, 600.0) * (1 + 0.1 * random.random())
    return random.random() * min(60.0, 0.5 * 2.0**tries)
