"""Questions that are waiting together are scored together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeAlias, TypeVar

__all__ = ["Batcher"]

Q = TypeVar("Q")
A = TypeVar("A")
_Waiting: TypeAlias = tuple[Q, "asyncio.Future[A]"]


class Batcher(Generic[Q, A]):
    """Collects what arrives in one turn of the event loop; a question that comes alone waits for nobody.

    Under load, requests pile up in their sockets while a batch is scored, and the next turn reads all of them: batches
    grow with the load, without a clock.

    Args:
        work: Answers some questions, one answer each, at once or as a future. If that fails, each question is asked
            alone, so that an exception belongs to the question that caused it.
        most: Questions in one batch.
        seen: Told the size of every batch.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Q]], Sequence[A] | asyncio.Future[Sequence[A]]],
        most: int,
        seen: Callable[[float], object] = lambda _: None,
    ) -> None:
        self._work, self._most, self._seen = work, most, seen
        self._waiting: list[_Waiting[Q, A]] = []

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
        wanted = [(question, future) for question, future in batch if not future.done()]  # not what was given up
        self._seen(len(wanted))
        self._ask(wanted)

    def _ask(self, batch: Sequence[_Waiting[Q, A]]) -> None:
        try:
            answers = self._work([question for question, _ in batch])
        except Exception as error:
            self._fail(batch, error)
            return
        if isinstance(answers, asyncio.Future):
            answers.add_done_callback(partial(self._came, batch))
        else:
            _give(batch, answers)

    def _came(self, batch: Sequence[_Waiting[Q, A]], answers: asyncio.Future[Sequence[A]]) -> None:
        error = asyncio.CancelledError() if answers.cancelled() else answers.exception()
        if error is not None:
            self._fail(batch, error)
        else:
            _give(batch, answers.result())

    def _fail(self, batch: Sequence[_Waiting[Q, A]], error: BaseException) -> None:
        if len(batch) > 1:
            for one in batch:
                if not one[1].done():
                    self._ask([one])
        elif not batch[0][1].done():
            batch[0][1].set_exception(error)


def _give(batch: Sequence[_Waiting[Q, A]], answers: Sequence[A]) -> None:
    for (_, future), answer in zip(batch, answers, strict=True):
        if not future.done():  # given up meanwhile
            future.set_result(answer)
