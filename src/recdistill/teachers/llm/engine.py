"""Asking: many questions at once, each answer journalled, until all are settled or the budget is spent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ...config import Config
from ...errors import TeacherError
from ...progress import track
from .budget import BudgetSpent, Purse
from .exchange import KEY_BYTES, Capabilities, Failure, Hopeless, Refusal, Reply, Request, Unreachable
from .journal import NEVER, Claim, Journal, Known, Outcome, Spent, State
from .pace import Bucket, Pace, PaceConfig, pause
from .reading import declines

__all__ = [
    "Again", "Asked", "Backend", "Engine", "Ledger", "Patience", "Questions", "Stopped", "new_runner", "replies",
    "run_async",
]  # fmt: skip

log = logging.getLogger("recdistill")
T = TypeVar("T")

_AHEAD = 128
"""Questions that are written and looked up together."""
_HOPELESS = 20
"""So many failures before the first answer, and the endpoint is not asked any more; later it is waited for."""
_MORE_IF_BUSY = 20
"""Times as many exchanges for a question whose trouble is not its own."""
_KEPT = 16_384
"""Characters of an unreadable answer that are kept: a server may have written a megabyte."""
_SHOWN = 60
"""Characters of an answer that are shown where it cannot be read."""
_POLL_SECONDS = 0.5
"""Between two looks at what another process is asking."""


class Questions(Protocol):
    """Numbered questions, each made from its number alone."""

    label: str
    """What is done, for the progress line."""

    def __len__(self) -> int:
        """How many there are."""

    def reminder(self, number: int) -> str:
        """What is said to a model whose answer to one of them could not be read."""

    def request(self, number: int) -> Request | None:
        """One of them; None if there is nothing to ask about."""

    def readable(self, number: int, reply: Reply) -> bool:
        """Whether an answer says what was asked for."""


class Backend(Protocol):
    """A model that is ready to be asked."""

    capabilities: Capabilities
    place: str
    """For messages."""

    def completed(self, request: Request) -> Request:
        """A request as it is sent, with what the user adds to each; its key is that of what was there before."""

    async def ask(self, request: Request, mark: str) -> Reply:
        """Ask once.

        Args:
            request: What, completed.
            mark: Equal for repetitions of the same exchange, for servers that heed it.

        Raises:
            Trouble: There is no answer.
        """

    async def close(self) -> None:
        """Let connections, memory and threads go."""


class Ledger(Protocol):
    """Where answers are kept: a :class:`Journal`, or the way to one on another machine."""

    def known(self, keys: Sequence[bytes]) -> dict[bytes, Known]:
        """See :meth:`Journal.known`."""

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Known]:
        """See :meth:`Journal.read`."""

    def commit(
        self, claims: Sequence[tuple[bytes, int]] = (), outcomes: Sequence[Outcome] = (), seconds: float = 0.0
    ) -> list[Claim]:
        """See :meth:`Journal.commit`."""

    def give_back(self, keys: Sequence[bytes]) -> None:
        """See :meth:`Journal.give_back`."""


class Stopped(TeacherError):
    """A ledger lets nothing more be asked; what it was given is filed."""


class Again(Config):
    """What is asked again: an answer never, the rest by these rules."""

    name: ClassVar[str] = "again"

    unparsable: int = Field(
        1, ge=0, description="how often to ask again, with a reminder, what was not answered in the form asked for"
    )
    refused: int = Field(0, ge=0, description="how often to ask again what was refused, by a filter or in words")
    failed: bool = Field(True, description="whether a later run asks again what failed in an earlier one")

    def settled(self, known: Known) -> bool:
        """Whether a question stays as it is."""
        left = {State.ANSWERED: 0, State.UNPARSABLE: self.unparsable, State.REFUSED: self.refused}
        return known.times.get(known.state, 0) >= left[known.state] if known.state in left else not self.failed


class Patience(Config):
    """How long a server is waited for."""

    name: ClassVar[str] = "patience"

    tries: int = Field(5, ge=1, description="exchanges for a question, if they fail for a reason that may pass")
    seconds: float = Field(
        300.0,
        ge=0,
        description="without any answer, while nobody is there or all is too much, before giving up",
    )


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """How a job of questions went.

    Attributes:
        numbers: int64 ``[n]``, the questions.
        keys: uint8 ``[n, 16]``, what the journal files their answers under; zeros where nothing was asked.
        counts: What became of them: ``answered``, ``refused``, ``failed``, ``unparsable``, ``empty``.
        spent: What this run cost.
        seconds: How long it took.
    """

    numbers: npt.NDArray[np.int64]
    keys: npt.NDArray[np.uint8]
    counts: dict[str, int]
    spent: Spent
    seconds: float


class _Question(NamedTuple):
    place: int
    key: bytes
    request: Request
    attempt: int
    times: Mapping[State, int]
    """How often each thing became of it before."""
    most: tuple[int, int]
    """Tokens in and out that one exchange cannot exceed."""


@dataclass(slots=True)
class _Tally:
    """What happened since the last commit, and what is open."""

    outcomes: list[Outcome] = field(default_factory=list)
    closed: list[bytes] = field(default_factory=list)
    unused: list[bytes] = field(default_factory=list)
    under_way: int = 0
    answers: int = 0
    failures: int = 0
    row: int = 0
    """Questions that failed since the last answer, although others might have been answered."""


class Engine:
    """Asks questions until all are settled.

    A single task looks questions up, claims them and files what came back, in one transaction for all that gathered
    while the last one was written; each claimed question then is a task of its own.

    Args:
        questions: What is asked.
        backend: Who is asked.
        journal: Where answers are kept.
        purse: What may be spent.
        pace: How much at once.
        patience: How long a server is waited for.
        again: What is asked again.
    """

    def __init__(
        self, questions: Questions, backend: Backend, journal: Ledger, purse: Purse, pace: PaceConfig,
        patience: Patience, again: Again,
    ) -> None:  # fmt: skip
        self.questions, self.backend, self.journal = questions, backend, journal
        self.purse, self.pace, self.patience, self.again = purse, Pace(pace), patience, again
        self._buckets = Bucket(pace.requests_per_minute), Bucket(pace.tokens_per_minute)
        self._ready: deque[_Question] = deque()
        self._later: deque[int] = deque()
        self._open: set[bytes] = set()
        self._tally, self._tasks = _Tally(), set[asyncio.Task[None]]()
        self._stop: Exception | None = None
        self._stopped = asyncio.Event()
        self._wait_until = self._heard = time.monotonic()
        self._settled, self._warned = 0, False
        self.watch: Callable[[], None] = lambda: None
        """Called whenever a question was settled by asking."""

    async def run(self, numbers: npt.NDArray[np.int64] | None = None) -> Asked:
        """Settle some questions, or all.

        Raises:
            BudgetSpent: It is; what was answered is in the journal.
            TeacherError: The model cannot be asked; the same holds.
        """
        chosen = np.arange(len(self.questions)) if numbers is None else np.asarray(numbers, dtype=np.int64)
        self._numbers, self._place = chosen, iter(range(len(chosen)))
        self._keys = np.zeros((len(chosen), KEY_BYTES), dtype=np.uint8)
        self._counts: Counter[str] = Counter()
        self._wake, start, before = asyncio.Event(), time.monotonic(), self.purse.spent
        self._lap = self._heard = start
        with (
            ThreadPoolExecutor(1, "journal") as self._thread,
            track(self.questions.label, len(chosen), "questions") as self._progress,
        ):
            try:
                await self._work()
            except asyncio.CancelledError:
                self._halt(TeacherError("interrupted", hint="the same command goes on from there"))
                raise
            except Exception as error:
                self._halt(error)
                raise
            finally:
                await self._finish()
        if self._stop is not None:
            raise self._stop
        counts = {state: self._counts[state] for state in (*State, "empty") if self._counts[state]}
        now, then = self.purse.spent, before
        spent = Spent(now.sent - then.sent, now.tokens_in - then.tokens_in, now.tokens_out - then.tokens_out)
        return Asked(chosen, self._keys, counts, spent, time.monotonic() - start)

    async def _work(self) -> None:
        more = True
        while self._stop is None:
            if more and len(self._ready) < self.pace.limit:
                more = await self._read_ahead(self._place)
            chosen = self._affordable()
            if chosen or self._tally.outcomes:
                await self._commit(chosen)
            elif self._tally.under_way:
                self._wake.clear()
                await self._wake.wait()
            elif self._later and not self._ready:
                await self._look_again()
            elif not (more or self._ready):
                return
            elif self._ready and self.purse.others:
                await asyncio.sleep(_POLL_SECONDS)

    async def _look_again(self) -> None:
        """What had to wait for an answer to the same question, asked here or by another process."""
        waiting = len(self._later)
        source = _drained(self._later)
        while len(self._ready) < self.pace.limit and await self._read_ahead(source):
            pass
        if len(self._later) == waiting:
            await asyncio.sleep(_POLL_SECONDS)

    def _halt(self, error: Exception) -> None:
        """Ask nothing more; the first reason is the one that is told."""
        self._stop = self._stop or error
        self._stopped.set()

    async def _sleep(self, seconds: float) -> None:
        """Wait, but not any longer once nothing more is asked."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    async def _finish(self) -> None:
        """Wait for what is under way, which is paid for already, and file it."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._tally.outcomes or self._tally.unused:
            await self._commit([])
        await self._in_thread(self.journal.give_back, [q.key for q in self._ready])

    async def _read_ahead(self, source: Iterator[int]) -> bool:
        """Write the next questions, and sort out those that are settled; False if there are no more."""
        places = list(islice(source, _AHEAD))
        written: list[tuple[int, bytes, Request]] = []
        for place in places:
            request = self.questions.request(int(self._numbers[place]))
            if request is None:
                self._count("empty", new=False)
                continue
            key = request.key(self.backend.capabilities.identity)
            self._keys[place] = np.frombuffer(key, dtype=np.uint8)
            if key in self._open:
                self._later.append(place)  # the same question twice: one answer for both
            else:
                self._open.add(key)
                written.append((place, key, self.backend.completed(request)))
        if written:
            known = await self._in_thread(self.journal.known, [key for _, key, _ in written])
            for place, key, request in written:
                await self._sort(place, key, request, known.get(key))
        return bool(places)

    async def _sort(self, place: int, key: bytes, request: Request, known: Known | None) -> None:
        if known is None:
            self._ready.append(self._question(place, key, request, 0))
        elif self.again.settled(known):
            self._open.discard(key)
            self._count(known.state, new=False)
        else:
            if known.state is State.UNPARSABLE:
                read = await self._in_thread(self.journal.read, [key])
                request = self._reminded(place, request, read[key].reply)
            self._ready.append(self._question(place, key, request, known.attempt + 1, known.again()))

    def _question(
        self, place: int, key: bytes, request: Request, attempt: int, times: Mapping[State, int] = NEVER
    ) -> _Question:
        return _Question(place, key, request, attempt, times, request.most_tokens(self.backend.capabilities.context))

    def _affordable(self) -> list[_Question]:
        """The next questions, as many as there are free places and as the budget allows."""
        chosen: list[_Question] = []
        while self._ready and self._tally.under_way + len(chosen) < self.pace.limit:
            most = self._ready[0].most
            if not self.purse.reserve(most):
                idle = not (self._tally.under_way or chosen or self._tally.outcomes)
                if idle and not self.purse.others:
                    self._halt(self._spent_error(most))
                break
            chosen.append(self._ready.popleft())
        return chosen

    def _still_affordable(self, question: _Question) -> bool:
        """Whether it is within the budget after what another process has filed meanwhile."""
        self.purse.forget(question.most)
        return self.purse.reserve(question.most)

    async def _commit(self, chosen: Sequence[_Question]) -> None:
        """File what came back, claim what goes out next, and send that."""
        outcomes, closed, unused = self._tally.outcomes, self._tally.closed, self._tally.unused
        self._tally.outcomes, self._tally.closed, self._tally.unused = [], [], []
        now = time.monotonic()
        seconds, self._lap = now - self._lap, now
        self.purse.pass_time(seconds)
        claims = [(q.key, q.attempt) for q in chosen]
        filing = asyncio.ensure_future(self._in_thread(self._write, unused, claims, outcomes, seconds))
        try:
            granted = await asyncio.shield(filing)
        except BaseException:  # what is not filed is paid for: the last thing to be done is to try once more
            await asyncio.wait([filing])
            if not isinstance(filing.exception(), Stopped | None):
                self._tally.outcomes[:0], self._tally.closed[:0], self._tally.unused[:0] = outcomes, closed, unused
            raise
        others = isinstance(self.journal, Journal) and self.purse.align(*self.journal.account)
        self._open.difference_update(closed)
        if self._settled:
            self._progress.advance(self._settled, f"{self.pace.limit} at once, {self.purse.words}")
            self._settled = 0
        for question, claim in zip(chosen, granted, strict=True):
            if claim is Claim.YOURS and others and not self._still_affordable(question):
                self._tally.unused.append(question.key)
                self._ready.append(question)
            elif claim is Claim.YOURS:
                self._tally.under_way += 1
                task = asyncio.create_task(self._settle(question))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                self.purse.forget(question.most)
                self._open.discard(question.key)
                self._later.append(question.place)
        if Claim.TAKEN in granted and not self._tally.under_way:
            await asyncio.sleep(_POLL_SECONDS)  # another process is asking all that is left

    def _write(
        self, unused: Sequence[bytes], claims: Sequence[tuple[bytes, int]], outcomes: Sequence[Outcome], seconds: float
    ) -> list[Claim]:
        if unused:
            self.journal.give_back(unused)
        return self.journal.commit(claims, outcomes, seconds)

    async def _settle(self, question: _Question) -> None:
        """Ask one question until it is settled."""
        try:
            outcome = await self._outcome(question)
        except Exception as error:  # also a defect of ours must not let a question vanish
            self._halt(error)
            self._tally.unused.append(question.key)
        else:
            self._file(question, outcome)
        finally:
            self._tally.under_way -= 1
            self._wake.set()

    def _file(self, question: _Question, outcome: Outcome) -> None:
        self._tally.outcomes.append(outcome)
        if outcome.state is State.FAILED:
            self._tally.failures += 1
            hopeless = self._tally.failures >= _HOPELESS and not (self._tally.answers or self._counts[State.ANSWERED])
            if hopeless:
                what = f"{self._tally.failures} questions and no answer, the last time because: {outcome.why}"
                self._halt(TeacherError(what, where=self.backend.place))
        else:
            self._tally.answers, self._tally.row = self._tally.answers + 1, 0
        known = Known(outcome.state, outcome.attempt, times=question.times)
        if outcome.state is not State.FAILED and not self.again.settled(known):
            request = question.request
            if outcome.state is State.UNPARSABLE and outcome.answer is not None:
                request = self._reminded(question.place, request, Reply.unpack(outcome.answer))
            again = self._question(question.place, question.key, request, outcome.attempt + 1, known.again())
            self._ready.append(again)
        else:
            self._tally.closed.append(question.key)
            self._count(outcome.state)

    async def _outcome(self, question: _Question) -> Outcome:
        key, attempt, tries, sent = question.key, question.attempt, 0, 0
        while True:
            tries += 1
            try:
                reply = await self._exchange(question)
            except Hopeless as error:
                raise TeacherError(error.why, where=self.backend.place, hint=error.hint) from None
            except Refusal as error:
                return Outcome(
                    key, attempt, State.REFUSED, None, error.why, error.tokens_in, error.tokens_out, sent + 1
                )
            except (Failure, Unreachable) as error:
                sent += isinstance(error, Failure)
                if not await self._may_try_again(error, tries):
                    return Outcome(key, attempt, State.FAILED, None, error.why, sent=sent)
                if not self.purse.reserve(question.most):
                    raise self._spent_error(question.most) from None
            else:
                state, why = State.ANSWERED, ""
                if not self.questions.readable(int(self._numbers[question.place]), reply):
                    state = State.REFUSED if declines(reply.text) else State.UNPARSABLE
                    why, reply = _unreadable(reply, state), replace(reply, text=reply.text[:_KEPT])
                return Outcome(key, attempt, state, reply.pack(), why, reply.tokens_in, reply.tokens_out, sent + 1)

    async def _exchange(self, question: _Question) -> Reply:
        """One exchange, within the rates, and its account."""
        most = question.most
        wait = max(self._wait_until - time.monotonic(), self._buckets[0].take(1), self._buckets[1].take(most[0] // 4))
        if wait > 0:
            await self._sleep(wait)
        if self._stop is not None:
            self.purse.forget(most)
            raise self._stop
        try:
            reply = await self.backend.ask(question.request, f"{question.key.hex()}-{question.attempt}")
        except (Refusal, Failure) as error:
            self.purse.settle(most, error.tokens_in, error.tokens_out)
            raise
        except BaseException:
            self.purse.forget(most)
            raise
        self.purse.settle(most, reply.tokens_in, reply.tokens_out)
        if not (reply.counted or self._warned):
            self._warned = True
            log.warning("%s does not count tokens: rather too many are counted than too few", self.backend.place)
        self._heard = time.monotonic()
        self.pace.done()
        return reply

    async def _may_try_again(self, error: Failure | Unreachable, tries: int) -> bool:
        """Wait as long as it takes; False if this question has had its tries.

        Raises:
            TeacherError: Nobody has had an answer for too long.
        """
        seconds = pause(min(tries, 8), error.wait)
        busy, slow = (True, False) if isinstance(error, Unreachable) else (error.busy, error.slow)
        if isinstance(error, Failure) and not (busy or error.again):
            return False
        busy = busy or self._tally.row >= _HOPELESS  # so many in a row: no question in particular is to blame
        if tries >= self.patience.tries * (_MORE_IF_BUSY if busy else 1):
            self._tally.row += 1
            return False
        if busy or slow:
            self.pace.overloaded()
        if busy:
            silent = time.monotonic() - self._heard
            if silent + seconds > self.patience.seconds:
                hint = f"{self._tally.answers:,} new answers are kept; the same command goes on from there"
                what = f"no answer for {silent:.0f} seconds"
                if error.wait is not None and error.wait > self.patience.seconds:
                    what = f"asks to wait for {error.wait:.0f} seconds, longer than patience.seconds"
                raise TeacherError(f"{what} ({error.why})", where=self.backend.place, hint=hint) from None
            if error.wait is not None:  # the server speaks to all
                self._wait_until = max(self._wait_until, time.monotonic() + seconds)
        await self._sleep(seconds)
        return True

    def _reminded(self, place: int, request: Request, reply: Reply | None) -> Request:
        if request.route != "chat":
            return request
        reminder = self.questions.reminder(int(self._numbers[place]))
        return request.reminded("" if reply is None else reply.text, reminder)

    def _spent_error(self, most: tuple[int, int]) -> BudgetSpent:
        left = len(self._numbers) - sum(self._counts.values())
        return BudgetSpent(self.purse.exceeded_by(most) or "", self.purse.words, left, len(self._numbers))

    def _count(self, state: str, new: bool = True) -> None:
        self._counts[state] += 1
        if new:
            self._settled += 1
            self.watch()
        else:
            self._progress.skip(1)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def replies(journal: Journal, asked: Asked) -> Iterator[tuple[int, Reply | None]]:
    """Every question's number and its answer, in their order; None where there is none that can be read.

    Args:
        journal: Where the answers are.
        asked: Which questions.
    """
    for start in range(0, len(asked.numbers), _AHEAD):
        part = slice(start, start + _AHEAD)
        keys = [key.tobytes() for key in asked.keys[part]]
        known = journal.read(sorted(set(keys)))
        for number, key in zip(asked.numbers[part].tolist(), keys, strict=True):
            found = known.get(key)
            yield number, found.reply if found is not None and found.state is State.ANSWERED else None


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also where a loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(work)
    with ThreadPoolExecutor(1, "asking") as thread:
        return thread.submit(_run, work).result()


def _run(work: Coroutine[Any, Any, T]) -> T:
    with new_runner() as runner:
        return runner.run(work)


def new_runner() -> asyncio.Runner:
    """A loop by uvloop where it is installed: a third more requests a second."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    return asyncio.Runner(loop_factory=factory)


def _unreadable(reply: Reply, state: State) -> str:
    """Why an answer is of no use, with its first words."""
    words = " ".join(reply.text[: 4 * _SHOWN].split())
    shown = f"{words[:_SHOWN]} …" if len(words) > _SHOWN else words
    if state is State.REFUSED:
        return f"declined: {shown!r}"
    if shown:
        return f"in another form than asked for: {shown!r}"
    return "an empty answer" if reply.numbers is None else "in another form than asked for"


def _drained(waiting: deque[int]) -> Iterator[int]:
    """What waits now, and not what is added meanwhile."""
    for _ in range(len(waiting)):
        yield waiting.popleft()
