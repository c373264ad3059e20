"""Events in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from typing import Any, TypeVar

from ...errors import StoreError
from ...registry import need
from .base import NEGATIVE, Event, EventStore

__all__ = ["PostgresStore", "without_password"]

T = TypeVar("T")
_TABLE = """
CREATE TABLE IF NOT EXISTS recdistill_events (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    "user" TEXT NOT NULL,
    item TEXT NOT NULL,
    type TEXT NOT NULL,
    time DOUBLE PRECISION NOT NULL,
    value DOUBLE PRECISION,
    variant TEXT NOT NULL,
    deployment BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS recdistill_events_of_user ON recdistill_events ("user", time);
CREATE INDEX IF NOT EXISTS recdistill_events_of_deployment ON recdistill_events (deployment, variant, type);
CREATE TABLE IF NOT EXISTS recdistill_answers (
    deployment BIGINT NOT NULL,
    variant TEXT NOT NULL,
    answers BIGINT NOT NULL,
    PRIMARY KEY (deployment, variant)
);
"""
_COLUMNS = 'id, "user", item, type, time, value, variant, deployment'
_ADD = f"""
INSERT INTO recdistill_events ({_COLUMNS})
SELECT {_COLUMNS} FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::float8[], %s::text[], %s::bigint[]
) WITH ORDINALITY AS sent ({_COLUMNS}, place)
ORDER BY place
ON CONFLICT (id) DO NOTHING RETURNING id
"""
_TURN = 7_265_636_469
"""Key of the advisory lock under which events are numbered: without it, a smaller number could become visible later."""
_CONNECT = 5
"""Seconds to wait for a connection."""


class PostgresStore(EventStore):
    """A table ``recdistill_events``. A lost connection is made again at the next call.

    Args:
        url: ``postgresql://…``; a password in it appears in no message.

    Raises:
        StoreError: The server cannot be reached.
        MissingExtraError: psycopg is not installed.
    """

    def __init__(self, url: str) -> None:
        self._psycopg = need("psycopg", "postgres")
        self._url = url
        self._base: Any = None
        self._run(lambda base: base.execute(_TABLE))

    def add(self, events: Sequence[Event]) -> list[bool]:
        first: dict[str, Event] = {}  # an id that comes twice counts where it comes first
        for event in events:
            first.setdefault(event.id, event)
        columns = [list(column) for column in zip(*map(astuple, first.values()), strict=True)]

        if not columns:
            return []

        def work(base: Any) -> set[str]:
            base.execute("SELECT pg_advisory_xact_lock(%s)", (_TURN,))
            return {row[0] for row in base.execute(_ADD, columns).fetchall()}

        new = self._run(work)
        return [first[event.id] is event and event.id in new for event in events]

    def history(self, user: str, limit: int) -> list[str]:
        rows = self._rows(
            'SELECT item FROM recdistill_events WHERE "user" = %s AND NOT type = ANY(%s)'
            " ORDER BY time DESC, number DESC LIMIT %s",
            (user, list(NEGATIVE), limit),
        )
        return [item for (item,) in rows[::-1]]

    def after(self, number: int, limit: int) -> list[tuple[int, Event]]:
        rows = self._rows(
            f"SELECT number, {_COLUMNS} FROM recdistill_events WHERE number > %s ORDER BY number LIMIT %s",
            (number, limit),
        )
        return [(first, Event(*rest)) for first, *rest in rows]

    def tally(self, deployment: int) -> dict[tuple[str, str], int]:
        rows = self._rows(
            "SELECT variant, type, COUNT(*) FROM recdistill_events WHERE deployment = %s GROUP BY variant, type",
            (deployment,),
        )
        return {(variant, kind): count for variant, kind, count in rows}

    def count_answers(self, deployment: int, more: Mapping[str, int]) -> None:
        def work(base: Any) -> None:
            for variant, count in sorted(more.items()):  # in one order, so that two servers never wait for each other
                base.execute(
                    "INSERT INTO recdistill_answers AS known VALUES (%s, %s, %s)"
                    " ON CONFLICT (deployment, variant) DO UPDATE SET answers = known.answers + excluded.answers",
                    (deployment, variant, count),
                )

        self._run(work)

    def answers(self, deployment: int) -> dict[str, int]:
        return dict(self._rows("SELECT variant, answers FROM recdistill_answers WHERE deployment = %s", (deployment,)))

    def close(self) -> None:
        if self._base is not None:
            self._base.close()
        self._base = None

    def _rows(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        return self._run(lambda base: base.execute(query, values).fetchall())

    def _run(self, work: Callable[[Any], T]) -> T:
        """Do something in one transaction; after a failure the connection is not used again."""
        try:
            if self._base is None or self._base.closed:
                self._base = self._psycopg.connect(self._url, connect_timeout=_CONNECT)
            with self._base.transaction():
                return work(self._base)
        except (self._psycopg.Error, OSError) as error:
            self.close()
            reason = " ".join(str(error).split()) or type(error).__name__
            hint = "is the server running, and may we write?"
            raise StoreError(f"cannot be used ({reason})", where=without_password(self._url), hint=hint) from error


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    scheme, _, rest = url.partition("://")
    place = rest.rpartition("@")[2].partition("?")[0]
    return f"{scheme}://{place}"
