"""Events of many requests, written by one thread in few transactions."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from ...errors import StoreError
from .base import Event, EventStore

__all__ = ["Writer"]

_TOGETHER = 1_000
"""Events of one transaction, about."""


class Writer:
    """Owns a store and the only thread that uses it.

    What is submitted while a transaction runs goes into the next one: a commit to disk costs milliseconds, and many
    requests share it. A future is resolved after its transaction was committed, never before.

    Args:
        make: Opens the store, in the thread; asked again if it fails.
        waiting: Events that may wait; beyond that, submitting fails at once.
    """

    def __init__(self, make: Callable[[], EventStore], waiting: int = 20_000) -> None:
        self._make, self._limit = make, waiting
        self._jobs: deque[tuple[Sequence[Event] | Callable[[EventStore], Any], Future[Any]]] = deque()
        self._events, self._stopped = 0, False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="feedback", daemon=True)
        self._thread.start()

    def add(self, events: Sequence[Event]) -> Future[list[bool]]:
        """Store events; see :meth:`EventStore.add`.

        Raises:
            StoreError: Too many are waiting.
        """
        return self._submit(events, len(events))

    def ask(self, question: Callable[[EventStore], Any]) -> Future[Any]:
        """Let a question be answered by the store, after what was submitted before."""
        return self._submit(question, 1)

    def close(self) -> None:
        """Write what is waiting, then close the store."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _submit(self, job: Sequence[Event] | Callable[[EventStore], Any], size: int) -> Future[Any]:
        future: Future[Any] = Future()
        with self._changed:
            if self._stopped or self._events + size > self._limit:
                raise StoreError("too many events are waiting", hint="send them again in a few seconds")
            self._events += size
            self._jobs.append((job, future))
            self._changed.notify()
        return future

    def _work(self) -> None:
        store: EventStore | None = None
        while jobs := self._next():
            try:
                store = store or self._make()
            except Exception as error:
                for _, future in jobs:
                    _set(future, error)
                continue
            self._do(store, jobs)
        if store is not None:
            store.close()

    def _next(self) -> list[tuple[Any, Future[Any]]]:
        """Jobs for one transaction, or one question; empty when all is done and the writer was closed."""
        with self._changed:
            while not self._jobs and not self._stopped:
                self._changed.wait()
            jobs: list[tuple[Any, Future[Any]]] = []
            size = 0
            while (
                self._jobs and size < _TOGETHER and not (jobs and (callable(self._jobs[0][0]) or callable(jobs[0][0])))
            ):
                jobs.append(self._jobs.popleft())
                size += 1 if callable(jobs[-1][0]) else len(jobs[-1][0])
            self._events -= size
            return jobs

    @staticmethod
    def _do(store: EventStore, jobs: Sequence[tuple[Any, Future[Any]]]) -> None:
        try:
            if callable(jobs[0][0]):
                _set(jobs[0][1], jobs[0][0](store))
                return
            new = iter(store.add([event for events, _ in jobs for event in events]))
            for events, future in jobs:
                _set(future, [next(new) for _ in events])
        except Exception as error:
            for _, future in jobs:
                _set(future, error)


def _set(future: Future[Any], result: Any) -> None:
    """A request that was given up has cancelled its future; the others must not suffer from it."""
    if future.set_running_or_notify_cancel():
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
