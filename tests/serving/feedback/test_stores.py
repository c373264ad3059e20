from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import postgres
from recdistill.errors import ConfigError, StoreError
from recdistill.serving.feedback import Event, EventStore, open_store
from recdistill.serving.feedback.postgres import PostgresStore, without_password
from recdistill.serving.feedback.sqlite import SQLiteStore

Make = Callable[[], EventStore]


def event(number: int, user: str = "u", item: str = "", kind: str = "click", time: float | None = None) -> Event:
    return Event(f"e{number}", user, item or f"i{number}", kind, float(number) if time is None else time)


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Opens the same store again and again."""
    opened: list[EventStore] = []
    if request.param == "postgres":
        server: postgres.PostgresServer = request.getfixturevalue("postgres_server")
        with server_without_table(server):
            yield lambda: opened.append(PostgresStore(server.url)) or opened[-1]  # type: ignore[func-returns-value]
    else:
        yield lambda: opened.append(SQLiteStore(tmp_path / "s" / "e.sqlite")) or opened[-1]  # type: ignore[func-returns-value]
    for store in opened:
        store.close()


class server_without_table:
    """Drops what an earlier test left."""

    def __init__(self, server: postgres.PostgresServer) -> None:
        self._url = server.url

    def __enter__(self) -> None:
        import psycopg

        with psycopg.connect(self._url) as base:
            base.execute("DROP TABLE IF EXISTS recdistill_events, recdistill_answers")

    def __exit__(self, *_: object) -> None:
        pass


def test_an_id_is_stored_once(make: Make) -> None:
    store = make()
    assert store.add([event(1), event(2), event(1)]) == [True, True, False]
    assert store.add([event(2, item="other"), event(3)]) == [False, True]
    assert [found for _, found in store.after(0, 10)] == [event(1), event(2), event(3)]
    assert store.add([]) == []


def test_what_was_stored_is_there_after_reopening(make: Make) -> None:
    full = Event("ä☃", "ü'; --", "%s", "rating", 1e9 + 0.5, 4.5, "b", 3)
    make().add([full])
    assert make().after(0, 10)[0][1] == full


def test_reading_on_from_a_number(make: Make) -> None:
    store = make()
    store.add([event(k) for k in range(5)])
    first = store.after(0, 2)
    rest = store.after(first[-1][0], 10)
    assert [found.id for _, found in first + rest] == [f"e{k}" for k in range(5)]
    assert store.after(rest[-1][0], 10) == []


def test_history_is_oldest_first_without_negative_types(make: Make) -> None:
    store = make()
    store.add([event(3), event(1), event(2, kind="dislike"), event(4, user="v"), event(5, time=2.5)])
    assert store.history("u", 10) == ["i1", "i5", "i3"]
    assert store.history("u", 2) == ["i5", "i3"]
    assert store.history("nobody", 10) == []


def test_tally_and_answers_are_of_one_deployment(make: Make) -> None:
    store, other = make(), make()
    store.add([event(1), event(2), event(3, kind="skip"), Event("x", "u", "i", "click", 0.0, None, "b", 7)])
    assert store.tally(0) == {("", "click"): 2, ("", "skip"): 1}
    assert store.tally(7) == {("b", "click"): 1}
    store.count_answers(7, {"a": 3, "b": 1})
    other.count_answers(7, {"b": 2})
    store.count_answers(8, {"a": 1})
    assert store.answers(7) == {"a": 3, "b": 3}
    assert store.answers(9) == store.tally(9) == {}


def test_two_writers_store_each_id_once_and_a_reader_misses_none(make: Make) -> None:
    stores, results = [make() for _ in range(3)], list[int]()

    def write(store: EventStore, start: int) -> None:
        results.extend(sum(store.add([event(k), event(k + 1)])) for k in range(start, start + 20))

    threads = [
        threading.Thread(target=write, args=(store, start)) for store, start in zip(stores, (0, 10), strict=False)
    ]
    for thread in threads:
        thread.start()
    seen, last = [], 0
    while any(thread.is_alive() for thread in threads) or stores[2].after(last, 1):
        found = stores[2].after(last, 7)
        seen += [one.id for _, one in found]
        last = found[-1][0] if found else last
    assert sum(results) == 31
    assert sorted(seen) == sorted({f"e{k}" for k in range(31)})


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, but quite some text " * 100)
    with pytest.raises(StoreError, match="not a database"):
        SQLiteStore(tmp_path / "text")
    with sqlite3.connect(tmp_path / "newer") as base:
        base.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="version 99"):
        SQLiteStore(tmp_path / "newer")
    with pytest.raises(StoreError):
        SQLiteStore(tmp_path / "text" / "below a file")


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    SQLiteStore(tmp_path / "e").close()
    assert (tmp_path / "e").stat().st_mode & 0o777 == 0o600


def test_a_lost_server_is_told_and_found_again(postgres_server: postgres.PostgresServer) -> None:
    with server_without_table(postgres_server):
        store = PostgresStore(postgres_server.url)
    store.add([event(1)])
    postgres_server.kill()
    try:
        with pytest.raises(StoreError, match="cannot be used"):
            store.add([event(2)])
    finally:
        postgres_server.start()
    assert store.add([event(1), event(2)]) == [False, True]
    store.close()


def test_urls(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no event store has URLs like mysql:"):
        open_store("mysql://user:secret@host/db", tmp_path / "e")
    with pytest.raises(StoreError) as told:
        open_store("postgresql://user:secret@localhost:1/db?x=y", tmp_path / "e")
    assert "secret" not in str(told.value)
    assert without_password("postgresql://user:a@b@host:1/db?password=c") == "postgresql://host:1/db"
    open_store(None, tmp_path / "e").close()


@settings(max_examples=15)
@given(ids=st.lists(st.integers(0, 6), max_size=30), cuts=st.lists(st.integers(0, 30), max_size=3))
def test_however_events_are_cut_into_transactions_each_is_there_once(ids: list[int], cuts: list[int]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "e")
        places = [0, *sorted(cuts), len(ids)]
        new = [flag for start, stop in pairwise(places) for flag in store.add([event(k) for k in ids[start:stop]])]
        stored = [found.id for _, found in store.after(0, 100)]
        store.close()
    assert stored == [f"e{k}" for k in dict.fromkeys(ids)]
    assert sum(new) == len(set(ids))
