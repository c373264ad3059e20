"""Every answer that was paid for, in one SQLite file that survives ``kill -9`` and that several processes may share.

Before a question is sent its key stands in ``intents``; when it is settled, the answer (or why there is none) goes to
``answers`` and the intent goes, in one transaction. An intent belongs to the process that wrote it for as long as that
process lives: it holds a lock on a file beside the journal, which the system lets go however the process ends. So

- what is answered is never asked again,
- what another process is asking is left to it,
- what a dead process was asking is asked again, and counted: it may have been answered and paid for unseen.

Committed is what survives the death of the process; of a power cut, what is older than a second.

Answers may be handed over to compressed shards beside the file (:meth:`Journal.compact`), and are read there.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import IO, Self

from ...errors import RecdistillError, TeacherError
from .exchange import Reply
from .shards import COLUMNS, Place, Shards, folder_of, write_shard

__all__ = ["NEVER", "Claim", "Journal", "Known", "Outcome", "Spent", "State"]

_VERSION = 2
_APPLICATION = 0x52444A4C
_DURABLE_SECONDS = 1.0
_KEYS = 500
"""Keys looked up by one statement."""
_FROM_1 = "CREATE TABLE IF NOT EXISTS shards (name TEXT PRIMARY KEY, rows INTEGER NOT NULL) WITHOUT ROWID"
"""What a journal of format 1 lacks."""
_PATIENCE = 60.0
"""Seconds to wait for another process's transaction."""

_SCHEMA = """
CREATE TABLE answers (
    key BLOB NOT NULL, attempt INTEGER NOT NULL, state TEXT NOT NULL, answer BLOB, why TEXT,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, PRIMARY KEY (key, attempt)
);
CREATE TABLE shards (name TEXT PRIMARY KEY, rows INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE intents (key BLOB PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE spent (
    job TEXT PRIMARY KEY, sent INTEGER NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
    seconds REAL NOT NULL, lost INTEGER NOT NULL
) WITHOUT ROWID;
"""


class State(StrEnum):
    """What became of a question."""

    ANSWERED = "answered"
    REFUSED = "refused"
    FAILED = "failed"
    UNPARSABLE = "unparsable"


class Claim(StrEnum):
    """What a process hears that wants to ask something."""

    YOURS = "yours"
    TAKEN = "taken"
    SETTLED = "settled"


NEVER: Mapping[State, int] = MappingProxyType({})
"""How often each thing became of a question that was never asked."""


@dataclass(frozen=True, slots=True)
class Known:
    """The newest record of a question.

    Attributes:
        state: What became of it.
        attempt: How many times it was settled before, from 0.
        reply: The answer, or what could not be read; None where nothing came.
        why: Why there is no answer, or empty.
        times: How often each thing became of it before.
    """

    state: State
    attempt: int
    reply: Reply | None = None
    why: str = ""
    times: Mapping[State, int] = field(default_factory=dict, compare=False)

    def again(self) -> dict[State, int]:
        """``times`` once it is asked again."""
        return {**self.times, self.state: self.times.get(self.state, 0) + 1}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A settled question.

    Attributes:
        key: Of the question.
        attempt: As in :class:`Known`.
        state: What became of it.
        answer: The packed reply, if one came.
        why: Why there is no answer, or empty.
        tokens_in: Tokens read.
        tokens_out: Tokens written.
        sent: Exchanges it took, repeated ones counted.
    """

    key: bytes
    attempt: int
    state: State
    answer: bytes | None = None
    why: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    sent: int = 1


@dataclass(frozen=True, slots=True)
class Spent:
    """What a job has cost so far, all its runs together.

    Attributes:
        sent: Exchanges.
        tokens_in: Tokens read.
        tokens_out: Tokens written.
        seconds: Time it ran.
        lost: Questions that a process was asking when it died: possibly paid for, and asked again.
    """

    sent: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    lost: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.sent + other.sent, self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out,
            self.seconds + other.seconds, self.lost + other.lost,
        )  # fmt: skip


class Journal:
    """An open journal; not for several threads at once.

    Args:
        path: The file; made if there is none.
        job: What this process works on; spending is kept for each job.

    Raises:
        TeacherError: The file is no journal, or one of another version.
        RecdistillError: It cannot be written.
    """

    def __init__(self, path: str | Path, job: str = "") -> None:
        self.path, self.job = Path(path), job
        self._owner = secrets.token_hex(8)
        self._synced = 0.0
        self._shards = Shards(folder_of(self.path))
        self.account = Spent(), Spent()
        """What the job had cost before the last commit and after it; another process may have added to the former."""
        with self._one_line():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._live = _Lives(self.path, self._owner)
            self._db = sqlite3.connect(self.path, _PATIENCE, isolation_level=None, check_same_thread=False)
            try:
                with self._live.one_at_a_time():
                    self._open()
            except BaseException:
                self._db.close()
                self._live.end()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what was claimed and not settled, and close the file."""
        with self._one_line():
            try:
                self._db.execute("DELETE FROM intents WHERE owner = ?", (self._owner,))
            finally:
                self._db.close()
                self._live.end()

    def known(self, keys: Sequence[bytes]) -> dict[bytes, Known]:
        """State and attempt of those questions that were settled, without the replies."""
        sql = "SELECT key, MAX(attempt), state, NULL, '' FROM answers WHERE key IN ({}) GROUP BY key"
        found = dict(self._look(sql, keys))
        for key, place in self._handed_over(keys, found).items():
            found[key] = Known(State(place.shard.state(place.row)), place.attempt)
        return self._with_times(found)

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Known]:
        """The same with replies and reasons."""
        sql = "SELECT key, MAX(attempt), state, answer, why FROM answers WHERE key IN ({}) GROUP BY key"
        found = dict(self._look(sql, keys))
        for key, place in self._handed_over(keys, found).items():
            answer, why = place.shard.answer(place.row)
            reply = None if answer is None else Reply.unpack(answer)
            found[key] = Known(State(place.shard.state(place.row)), place.attempt, reply, why or "")
        return self._with_times(found)

    def commit(
        self, claims: Sequence[tuple[bytes, int]] = (), outcomes: Sequence[Outcome] = (), seconds: float = 0.0
    ) -> list[Claim]:
        """Settle some questions and claim others, in one transaction.

        Args:
            claims: Key and attempt of what is to be asked now.
            outcomes: What was claimed before and is settled.
            seconds: Time since the last commit, for the account.

        Returns:
            For each claim whether it may be asked.
        """
        durable = bool(outcomes) and time.monotonic() - self._synced > _DURABLE_SECONDS
        with self._one_line():
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._settle(outcomes)
                found, lost = self._claim(claims)
                before = self._spent()
                self._account(outcomes, seconds, lost)
                self.account = before, self._spent()
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        if durable:
            self._synced = time.monotonic()
        return found

    def give_back(self, keys: Sequence[bytes]) -> None:
        """Let go of claims that were not used."""
        with self._one_line():
            self._db.executemany(
                "DELETE FROM intents WHERE key = ? AND owner = ?", [(key, self._owner) for key in keys]
            )

    def spent(self) -> Spent:
        """What the job has cost so far, earlier runs included."""
        with self._one_line():
            return self._spent()

    def spent_by_job(self) -> dict[str, Spent]:
        """What each job has cost."""
        with self._one_line():
            rows = self._db.execute("SELECT job, sent, tokens_in, tokens_out, seconds, lost FROM spent ORDER BY job")
            return {job: Spent(*numbers) for job, *numbers in rows}

    def counts(self) -> dict[str, int]:
        """Records of each state, of all jobs and attempts."""
        with self._one_line():
            counts = Counter(dict(self._db.execute("SELECT state, COUNT(*) FROM answers GROUP BY state")))
        if self.shards():
            for state, n in self._shards.counted("state"):
                counts[state] += n
        return dict(sorted(counts.items()))

    def tokens(self, keys: Sequence[bytes]) -> dict[bytes, tuple[int, int]]:
        """Tokens read and written for some questions, all attempts together."""
        found: dict[bytes, tuple[int, int]] = {}
        with self._one_line():
            for some in _parts(keys):
                sums = "SELECT key, SUM(tokens_in), SUM(tokens_out) FROM answers"
                sql = f"{sums} WHERE key IN ({_marks(some)}) GROUP BY key"
                found |= {key: (read, written) for key, read, written in self._db.execute(sql, some)}
        if self.shards():
            for key, read, written in self._shards.tokens(keys):
                before = found.get(key, (0, 0))
                found[key] = before[0] + read, before[1] + written
        return found

    def reasons(self, most: int = 3) -> list[str]:
        """The most frequent reasons for which there is no answer, with their number."""
        sql = "SELECT why, COUNT(*) FROM answers WHERE why IS NOT NULL GROUP BY why"
        with self._one_line():
            counts = Counter(dict(self._db.execute(sql)))
        if self.shards():
            for why, n in self._shards.counted("why"):
                counts[why] += n
        found = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return [f"{why} ({n:,} times)" for why, n in found[:most]]

    def shards(self) -> list[str]:
        """Names of the shards, oldest first."""
        with self._one_line():
            names = [name for (name,) in self._db.execute("SELECT name FROM shards ORDER BY name")]
        self._shards.use(names)
        return names

    def compact(self) -> int:
        """Hand the answers over to a new compressed shard; how many there were.

        The shard is on disk before the journal names it, and the answers leave the journal in the same transaction:
        whenever this dies, each answer is in one of both, and the next call goes on. Jobs at work are not disturbed.

        Raises:
            TeacherError: Another process is at it.
            RecdistillError: The disk is full, or the place cannot be written.
        """
        with self._one_line(), _alone(folder_of(self.path)):
            last = self._db.execute("SELECT MAX(rowid) FROM answers").fetchone()[0]
            if last is None:
                return 0
            name = f"shard-{len(self.shards()):05d}.parquet"
            rows = self._db.execute(
                f"SELECT {', '.join(COLUMNS)} FROM answers WHERE rowid <= ? ORDER BY rowid", (last,)
            )
            written = write_shard(folder_of(self.path) / name, rows)
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.execute("INSERT INTO shards VALUES (?, ?)", (name, written))
                self._db.execute("DELETE FROM answers WHERE rowid <= ?", (last,))
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            with suppress(sqlite3.OperationalError):  # others read just now: the room comes free another time
                self._db.execute("VACUUM")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return written

    def _handed_over(self, keys: Sequence[bytes], found: Mapping[bytes, Known]) -> dict[bytes, Place]:
        """Where in the shards those are that the file has not; the file was looked at first, so that none slips by."""
        left = [key for key in keys if key not in found]
        return self._shards.find(left) if left and self.shards() else {}

    def _with_times(self, found: dict[bytes, Known]) -> dict[bytes, Known]:
        """The same, and what became of questions before that were asked several times, which are few."""
        several = [key for key, known in found.items() if known.attempt]
        if not several:
            return found
        records = list[tuple[bytes, int, str]]()
        with self._one_line():
            for some in _parts(several):
                sql = f"SELECT key, attempt, state FROM answers WHERE key IN ({_marks(some)})"
                records += self._db.execute(sql, some)
        if self.shards():
            records += self._shards.states(several)
        times = {key: Counter[State]() for key in several}
        for key, attempt, state in records:
            if attempt < found[key].attempt:
                times[key][State(state)] += 1
        return found | {key: replace(found[key], times=dict(before)) for key, before in times.items()}

    def _spent(self) -> Spent:
        sql = "SELECT sent, tokens_in, tokens_out, seconds, lost FROM spent WHERE job = ?"
        row = self._db.execute(sql, (self.job,)).fetchone()
        return Spent(*row) if row else Spent()

    def _open(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            self._db.execute("PRAGMA journal_mode = WAL")
            self._create()
        elif self._db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
            raise TeacherError(
                "is a database, but no journal of answers", where=self.path, hint="name another file with journal="
            )
        elif version == 1:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(_FROM_1)
            self._db.execute(f"PRAGMA user_version = {_VERSION}")
            self._db.execute("COMMIT")
        elif version != _VERSION:
            hint = "upgrade recdistill" if version > _VERSION else "name another file with journal="
            raise TeacherError(
                f"is a journal of format {version}, this version of recdistill reads {_VERSION}",
                where=self.path,
                hint=f"{hint}; the answers in it are not touched",
            )
        self._db.execute("PRAGMA cache_size = -32000")  # KB: keys lie anywhere in their index, 45 MB of a million
        self._db.execute("PRAGMA wal_autocheckpoint = 8000")  # pages: what changes often is copied seldom

    def _create(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        if not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():  # another process was not faster
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._db.execute(f"PRAGMA user_version = {_VERSION}")
        self._db.execute("COMMIT")

    def _look(self, sql: str, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Known]]:
        with self._one_line():
            for some in _parts(keys):
                for key, attempt, state, answer, why in self._db.execute(sql.format(_marks(some)), some):
                    reply = None if answer is None else Reply.unpack(answer)
                    yield key, Known(State(state), attempt, reply, why or "")

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        self._db.executemany(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [(o.key, o.attempt, o.state.value, o.answer, o.why or None, o.tokens_in, o.tokens_out) for o in outcomes],
        )
        self._db.executemany(
            "DELETE FROM intents WHERE key = ? AND owner = ?", [(o.key, self._owner) for o in outcomes]
        )

    def _claim(self, claims: Sequence[tuple[bytes, int]]) -> tuple[list[Claim], int]:
        found, lost = [], 0
        handed_over = self._handed_over([key for key, _ in claims], {})
        for key, attempt in claims:
            settled = "SELECT 1 FROM answers WHERE key = ? AND attempt >= ?"
            sharded = key in handed_over and handed_over[key].attempt >= attempt
            if sharded or self._db.execute(settled, (key, attempt)).fetchone():
                found.append(Claim.SETTLED)
                continue
            fresh = self._db.execute("INSERT INTO intents VALUES (?, ?) ON CONFLICT DO NOTHING", (key, self._owner))
            if not fresh.rowcount:
                owner = self._db.execute("SELECT owner FROM intents WHERE key = ?", (key,)).fetchone()[0]
                if owner != self._owner and self._live.lives(owner):
                    found.append(Claim.TAKEN)
                    continue
                self._db.execute("UPDATE intents SET owner = ? WHERE key = ?", (self._owner, key))
                lost += 1
            found.append(Claim.YOURS)
        return found, lost

    def _account(self, outcomes: Sequence[Outcome], seconds: float, lost: int) -> None:
        sent, read, written = (sum(getattr(o, name) for o in outcomes) for name in ("sent", "tokens_in", "tokens_out"))
        if not (sent or lost or seconds):
            return
        self._db.execute(
            "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (job) DO UPDATE SET sent = sent + excluded.sent, "
            "tokens_in = tokens_in + excluded.tokens_in, tokens_out = tokens_out + excluded.tokens_out, "
            "seconds = seconds + excluded.seconds, lost = lost + excluded.lost",
            (self.job, sent, read, written, seconds, lost),
        )

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        """Turn what SQLite or the system refuses into one line."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorname", "") in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
                raise TeacherError(
                    f"is no journal of answers ({error})", where=self.path, hint="name another file with journal="
                ) from None
            hint = "answers until now are kept; put that right, then the same command goes on from there"
            raise RecdistillError(f"cannot be written ({error})", where=self.path, hint=hint) from None
        except OSError as error:
            raise RecdistillError(f"cannot be written ({error.strerror or error})", where=self.path) from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other compactions out.

    Raises:
        TeacherError: One is at work.
    """
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TeacherError("is compacted by another process", where=folder, hint="wait for it") from None
        yield


def _parts(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), _KEYS):
        yield keys[start : start + _KEYS]


def _marks(keys: Sequence[bytes]) -> str:
    return ",".join("?" * len(keys))


class _Lives:
    """Which processes are alive that have the journal open: each holds a lock on a file of its own."""

    def __init__(self, journal: Path, owner: str) -> None:
        self.folder = journal.with_name(journal.name + "-owners")
        self.folder.mkdir(exist_ok=True)
        for left in self.folder.iterdir():
            self.lives(left.name)  # removes what the dead left
        self._file: IO[bytes] | None = None
        while self._file is None:  # until the name still leads to what was locked: another's clearing may come between
            file = self._locked(owner)
            if file is not None and _same(file, self.folder / owner):
                self._file = file
            elif file is not None:
                file.close()

    def lives(self, owner: str) -> bool:
        """Whether that process lives; what a dead one left is removed."""
        if not (self.folder / owner).exists():
            return False
        file = self._locked(owner)
        if file is None:
            return True
        (self.folder / owner).unlink(missing_ok=True)
        file.close()
        return False

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Keep other processes from the same until it is done: two must not make the tables at once."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def end(self) -> None:
        """Let the own lock go."""
        if self._file is not None:
            Path(self._file.name).unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def _locked(self, owner: str) -> IO[bytes] | None:
        """The open file with its lock, or None if another process has it."""
        file = (self.folder / owner).open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file


def _same(file: IO[bytes], path: Path) -> bool:
    """Whether a name leads to an open file."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
