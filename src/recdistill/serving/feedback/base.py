"""An event, and what a store of events can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["NEGATIVE", "Event", "EventStore"]

NEGATIVE = ("dislike", "impression", "skip")
"""Types of events that say nothing good about an item: they are stored, but are no part of a history."""


@dataclass(frozen=True, slots=True)
class Event:
    """Somebody did something with an item.

    Attributes:
        id: Of the event, chosen by the sender: the same id again is the same event again.
        user: Who.
        item: With what.
        type: Such as ``click`` or ``purchase``; see :data:`NEGATIVE`.
        time: Seconds since 1970, when it happened.
        value: Of a rating or a purchase.
        variant: Which variant of the deployment answers this user.
        deployment: Number of that deployment.
    """

    id: str
    user: str
    item: str
    type: str
    time: float
    value: float | None = None
    variant: str = ""
    deployment: int = 0


class EventStore(ABC):
    """Events in the order in which they were stored, each id once.

    Every method raises :class:`~recdistill.errors.StoreError` if the store cannot do it now. One thread at a time may
    use a store.
    """

    @abstractmethod
    def add(self, events: Sequence[Event]) -> list[bool]:
        """Store events in one transaction; on return they survive a crash of every process.

        Returns:
            For each, whether it is new; an id that is known keeps what was stored first.
        """

    @abstractmethod
    def history(self, user: str, limit: int) -> list[str]:
        """Items of a user's newest events, oldest first, without those of :data:`NEGATIVE` types."""

    @abstractmethod
    def after(self, number: int, limit: int) -> list[tuple[int, Event]]:
        """The next events behind the one with this number (0: from the first), each with its own number.

        Numbers grow in the order in which events became visible, so a reader that goes on from the last number it saw
        misses none.
        """

    @abstractmethod
    def tally(self, deployment: int) -> dict[tuple[str, str], int]:
        """How many events of a deployment there are, by variant and type."""

    @abstractmethod
    def count_answers(self, deployment: int, more: Mapping[str, int]) -> None:
        """Add to the number of answers that variants of a deployment gave; several servers may."""

    @abstractmethod
    def answers(self, deployment: int) -> dict[str, int]:
        """How many answers variants of a deployment gave."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""
