"""Questions that are waiting together are scored together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["Batcher"]

Q = TypeVar("Q")
A = TypeVar("A")


class Batcher(Generic[Q, A]):
    """Collects what arrives in one turn of the event loop; a question that comes alone waits for nobody.

    Under load, requests pile up in their sockets while a batch is scored, and the next turn reads all of them: batches
    grow with the load, without a clock.

    Args:
        work: Answers some questions, one answer each. If it raises, each question is asked alone, so that an exception
            belongs to the question that caused it.
        most: Questions in one batch.
        seen: Told the size of every batch.
    """

    def __init__(
        self, work: Callable[[Sequence[Q]], Sequence[A]], most: int, seen: Callable[[float], object] = lambda _: None
    ) -> None:
        self._work, self._most, self._seen = work, most, seen
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []

    async def __call__(self, question: Q) -> A:
        """The answer to one question."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[A] = loop.create_future()
        self._waiting.append((question, future))
        if len(self._waiting) == 1:
            loop.call_soon(self._answer)
        return await future

    def _answer(self) -> None:
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._answer)
        open_ = [(question, future) for question, future in batch if not future.done()]  # not those that were given up
        self._seen(len(open_))
        try:
            answers = self._work([question for question, _ in open_])
        except Exception as error:
            if len(open_) == 1:
                open_[0][1].set_exception(error)
                return
            for question, future in open_:
                self._answer_alone(question, future)
            return
        for (_, future), answer in zip(open_, answers, strict=True):
            future.set_result(answer)

    def _answer_alone(self, question: Q, future: asyncio.Future[A]) -> None:
        try:
            future.set_result(self._work([question])[0])
        except Exception as error:
            future.set_exception(error)
