"""What a job will cost, from all its questions and the answers to a few."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...data.dataset import Split
from ...knowledge import Knowledge
from .engine import Asked, run_async
from .exchange import Capabilities, Request
from .journal import Spent, State
from .teacher import LLM, Sitting

__all__ = ["Estimate", "Range", "estimate"]

Doubles = npt.NDArray[np.float64]

_WRITTEN = 20_000
"""Questions that are written to see how long they are; of more, so many at random."""
_KNOWN = 2_000
"""Answers in the journal that are looked at."""
_RESAMPLES = 1_000
_BYTES_PER_TOKEN = 4.0
"""Where nothing was asked; the interval is from half to twice of what follows from it."""


@dataclass(frozen=True, slots=True)
class Range:
    """A number and its interval of 95 %."""

    value: float
    low: float
    high: float

    @staticmethod
    def of(value: float, resampled: Doubles) -> Range:
        """With the percentiles of resampled values."""
        low, high = np.quantile(resampled, (0.025, 0.975), method="nearest") if len(resampled) else (value, value)
        return Range(float(value), float(min(low, value)), float(max(high, value)))


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left to be paid for.

    Attributes:
        questions: All of the job.
        empty: Those with nothing to ask about.
        settled: Those that are in the journal already.
        left: Those that would be asked.
        requests: Exchanges that these will take; more, as what cannot be read is asked again.
        spent: What the job has cost already, which its budget counts too.
        tokens_in: Tokens that will be read.
        tokens_out: Tokens that will be written.
        money: In the currency of the prices; None if nothing has a price.
        seconds: None if nothing was asked now.
        rising: The pace was still rising at the end: it will be faster.
        sampled: Questions asked for this estimate; they are among the settled.
        capabilities: What the model can do.
    """

    questions: int
    empty: int
    settled: int
    left: int
    requests: int
    spent: Spent
    tokens_in: Range
    tokens_out: Range
    money: Range | None
    seconds: Range | None
    rising: bool
    sampled: int
    capabilities: Capabilities


def estimate(
    llm: LLM, split: Split, path: str | Path, name: str | None = None, knowledge: Knowledge | None = None,
    sample: int = 32, seed: int = 0,
) -> Estimate:  # fmt: skip
    """What a teacher will cost.

    All questions are written and compared with the journal; a few of those that are open are asked. Their answers are
    kept, so that they are not paid for again.

    Args:
        llm: The teacher.
        split: The data.
        path: Where its stores will be.
        name: Its name.
        knowledge: Of the teachers that it uses.
        sample: Questions to ask at most; 0 asks nothing but what the model can do.
        seed: For the choice of questions.

    Raises:
        TeacherError: The model cannot be asked, or the budget is spent.
    """
    return run_async(_estimate(llm, split, Path(path), name or llm.name, knowledge or Knowledge(), sample, seed))


async def _estimate(
    llm: LLM, split: Split, path: Path, name: str, knowledge: Knowledge, sample: int, seed: int
) -> Estimate:
    async with llm.sitting(path, name, partial(llm.task.job, split, knowledge)) as sitting:
        looked = _Looked.at(sitting, seed)
        rng = np.random.default_rng(seed)
        chosen = rng.permutation(looked.numbers[looked.open])[:sample]
        timed = await _ask(sitting, chosen) if len(chosen) else None
        after = _Looked.at(sitting, seed) if timed else looked
        return _conclude(llm, sitting, after, timed, len(chosen))


@dataclass(frozen=True, slots=True)
class _Looked:
    """Questions as they are written, those of a large job sampled.

    ``scale`` is how many questions of the job one of these stands for, ``attempts`` how often one is asked on average.
    """

    numbers: npt.NDArray[np.int64]
    bytes: Doubles
    tokens: Doubles
    empty: npt.NDArray[np.bool_]
    open: npt.NDArray[np.bool_]
    scale: float
    attempts: float

    @staticmethod
    def at(sitting: Sitting, seed: int) -> _Looked:
        job, journal = sitting.job, sitting.journal
        total = len(job)
        chosen = np.sort(np.random.default_rng(seed).permutation(total)[:_WRITTEN])
        requests = [job.request(number) for number in chosen.tolist()]
        identity = sitting.backend.capabilities.identity
        keys = [b"" if request is None else request.key(identity) for request in requests]
        known = journal.known([key for key in keys if key])
        again = sitting.teacher.again
        settled = np.array([key in known and again.settled(known[key]) for key in keys], dtype=np.bool_)
        empty = np.array([not key for key in keys], dtype=np.bool_)
        # equal questions are asked once
        first = np.zeros(len(keys), dtype=np.bool_)
        first[np.unique(np.array([key.ljust(16) for key in keys], dtype="S16"), return_index=True)[1]] = True
        asked = [key for key, done in zip(keys, settled, strict=True) if done and known[key].state is not State.FAILED]
        cost = journal.tokens(asked[:_KNOWN])
        attempts = [known[key].attempt + 1 for key in asked]
        tokens = np.array([cost.get(key, (np.nan, np.nan)) for key in keys], dtype=np.float64).reshape(-1, 2)
        return _Looked(
            chosen, np.array([_size(request) for request in requests]), tokens, empty, ~settled & ~empty & first,
            total / max(len(chosen), 1), sum(attempts) / len(attempts) if attempts else 1.0,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Timed:
    """When questions were settled, in seconds from the start, and how many were asked at once at the end."""

    asked: Asked
    times: Doubles
    limit: int
    rising: bool

    @property
    def usable(self) -> slice:
        """Completions at full load: neither the first, before any could come, nor the last, when places are empty."""
        n = len(self.times)
        start, stop = n // 5, n - min(self.limit, n // 2) // 2
        return slice(start, max(stop, start + 2))


async def _ask(sitting: Sitting, chosen: npt.NDArray[np.int64]) -> _Timed:
    engine, times, start = sitting.engine(), list[float](), time.monotonic()
    engine.watch = lambda: times.append(time.monotonic() - start)
    before = engine.pace.limit
    asked = await engine.run(chosen)
    limit = min(engine.pace.limit, len(chosen))
    rising = engine.pace.limit > before and engine.pace.rising
    return _Timed(asked, np.array(times), limit, rising)


def _conclude(llm: LLM, sitting: Sitting, looked: _Looked, timed: _Timed | None, sampled: int) -> Estimate:
    left = looked.bytes[looked.open]
    known = np.flatnonzero(~np.isnan(looked.tokens[:, 0]))
    rng = np.random.default_rng(0)
    if len(known):
        draws = [known, *(rng.choice(known, len(known)) for _ in range(_RESAMPLES))]
        totals = np.array([_totals(looked.bytes[rows], looked.tokens[rows], left) for rows in draws]) * looked.scale
        values, resampled = totals[0], totals[1:]
    else:
        most = np.array([_most_out(sitting, int(number)) for number in looked.numbers[looked.open][:500]])
        out = (most.mean() if len(most) else 0.0) * len(left) / 2
        values = np.array([left.sum() / _BYTES_PER_TOKEN, out]) * looked.scale
        resampled = np.stack([values / 2, values * 2])
    n_left = float(looked.open.sum()) * looked.scale
    prices, sent = llm.prices, n_left * looked.attempts
    money = prices.of(sent, values[0], values[1])
    spread = np.array([prices.of(sent, read, written) for read, written in resampled])
    total = len(sitting.job)
    empty = round(float(looked.empty.sum()) * looked.scale)
    return Estimate(
        questions=total, empty=empty, settled=max(total - empty - round(n_left), 0), left=round(n_left),
        requests=round(sent), spent=sitting.journal.spent(),
        tokens_in=Range.of(values[0], resampled[:, 0]), tokens_out=Range.of(values[1], resampled[:, 1]),
        money=Range.of(money, spread) if money or prices.of(1, 1, 1) else None,
        seconds=None if timed is None else _seconds(timed, n_left, left, looked),
        rising=timed is not None and timed.rising, sampled=sampled, capabilities=sitting.backend.capabilities,
    )  # fmt: skip


def _totals(sizes: Doubles, tokens: Doubles, left: Doubles) -> Doubles:
    """Tokens in and out of the questions that are left: in by a line through the sample, out by its mean."""
    spread = sizes.std()
    slope = float(np.mean((sizes - sizes.mean()) * (tokens[:, 0] - tokens[:, 0].mean())) / spread**2) if spread else 0.0
    slope = min(max(slope, 0.0), 1.0)  # a byte is at most a token
    read = (tokens[:, 0].mean() + slope * (left - sizes.mean())).sum()
    return np.array([read, tokens[:, 1].mean() * len(left)])


def _seconds(timed: _Timed, n_left: float, left: Doubles, looked: _Looked) -> Range:
    """Time by the rate at full load, corrected for longer or shorter questions than those of the sample."""
    times = timed.times[timed.usable]
    if len(times) < 4:
        each = timed.asked.seconds / max(len(timed.times), 1)
        return Range(n_left * each, n_left * each / 2, n_left * each * 2)
    index = np.searchsorted(looked.numbers, timed.asked.numbers)
    longer = left.mean() / looked.bytes[index].mean() if len(left) else 1.0
    each = (times[-1] - times[0]) / (len(times) - 1) * longer
    parts = np.array([part[-1] - part[0] for part in np.array_split(times, min(5, len(times) // 2))])
    sizes = np.array([len(part) - 1 for part in np.array_split(times, min(5, len(times) // 2))])
    rates = parts / np.maximum(sizes, 1) * longer
    error = 2 * rates.std(ddof=1) / np.sqrt(len(rates)) if len(rates) > 1 else each
    return Range(n_left * each, n_left * max(each - error, each / 4), n_left * (each + error))


def _size(request: Request | None) -> float:
    return 0.0 if request is None else float(request.size)


def _most_out(sitting: Sitting, number: int) -> int:
    request = sitting.job.request(number)
    return 0 if request is None else sitting.teacher.backend.completed(request).most_tokens()[1]
