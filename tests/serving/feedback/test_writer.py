from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from recdistill.errors import StoreError
from recdistill.serving.feedback import Event, Writer, open_store
from recdistill.serving.feedback.sqlite import SQLiteStore


def event(name: str) -> Event:
    return Event(name, "u", "i", "click", 0.0)


class Slow(SQLiteStore):
    """Waits for ``go`` before it writes, and notes its transactions."""

    go: threading.Event
    sizes: list[int]

    def add(self, events: Sequence[Event]) -> list[bool]:
        self.go.wait(10)
        self.sizes.append(len(events))
        return super().add(events)


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    store = Slow(tmp_path / "e")
    store.go, store.sizes = threading.Event(), []
    return store


def test_what_waits_together_is_written_together(slow: Slow) -> None:
    writer = Writer(lambda: slow)
    first = writer.add([event("a")])
    while writer._jobs:
        pass
    rest = [writer.add([event(name), event("a")]) for name in "bcd"]
    count = writer.ask(lambda store: len(store.after(0, 100)))
    last = writer.add([event("z")])
    slow.go.set()
    assert first.result(5) == [True]
    assert [future.result(5) for future in rest] == [[True, False]] * 3
    assert (count.result(5), last.result(5)) == (4, [True])
    writer.close()
    assert slow.sizes == [1, 6, 1]


def test_a_request_that_was_given_up_harms_no_other(slow: Slow) -> None:
    writer = Writer(lambda: slow)
    futures = [writer.add([event(name)]) for name in "abc"]
    futures[1].cancel()
    slow.go.set()
    assert futures[0].result(5) == futures[2].result(5) == [True]
    writer.close()


def test_too_many_waiting_are_refused_and_so_is_what_comes_after_the_end(slow: Slow) -> None:
    writer = Writer(lambda: slow, waiting=3)
    writer.add([event("a")])
    while writer._jobs:
        pass
    kept = writer.add([event("b"), event("c")])
    with pytest.raises(StoreError, match="too many"):
        writer.add([event("d"), event("e")])
    slow.go.set()
    writer.close()
    assert kept.result(0) == [True, True]
    with pytest.raises(StoreError):
        writer.add([event("f")])


def test_a_store_that_fails_is_tried_again(tmp_path: Path) -> None:
    tries: list[int] = []

    def make() -> SQLiteStore:
        tries.append(1)
        if len(tries) == 1:
            raise StoreError("not yet")
        return SQLiteStore(tmp_path / "e")

    writer = Writer(make)
    with pytest.raises(StoreError, match="not yet"):
        writer.add([event("a")]).result(5)
    assert writer.add([event("a")]).result(5) == [True]

    def broken(_: object) -> None:
        raise ValueError("a question")

    with pytest.raises(ValueError, match="a question"):
        writer.ask(broken).result(5)
    writer.close()
    assert [found.id for _, found in open_store(None, tmp_path / "e").after(0, 9)] == ["a"]
