"""How fast questions are asked, against an instant server on loopback and against the real local model's best client.

``make bench-labelling QUESTIONS=1000000 REAL=16 THREADS=2``. The first part asks listwise questions of a server
that answers at once with 20 log-probabilities: journal, reading of answers and account included. Targets: 3,000
requests a second on 2 cores, and memory that grows by no more than the keys of the questions and the counts of this
benchmark. The second part asks llama.cpp (SmolLM2-135M) through the engine and through a bare client that only sends,
in turns: the best of several numbers of requests at once. Target: 90 % of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from loopback import serving, stats
from recdistill.teachers.llm.backends import GGUF, Endpoint
from recdistill.teachers.llm.budget import Budget, Prices, Purse
from recdistill.teachers.llm.engine import Again, Asked, Engine, Patience, run_async
from recdistill.teachers.llm.exchange import Reply, Request
from recdistill.teachers.llm.journal import Journal
from recdistill.teachers.llm.prompts import load_prompt
from recdistill.teachers.llm.reading import LETTERS, choice_of

RATE, SHARE, BYTES = 3000.0, 0.9, 64.0
OFFERED = 10
BLOCK = 4096
"""Questions that are drawn together, as jobs draw their candidates."""


class Lists:
    """Listwise questions about made-up films, each made from its number."""

    label = "rank candidates"

    def __init__(self, n: int, history: int = 10, first: int = 0) -> None:
        self.n, self.history, self.first = n, history, first
        self.prompt = load_prompt("listwise-letter")
        self._drawn = lru_cache(2)(self._draw)

    def __len__(self) -> int:
        return self.n

    def reminder(self, number: int) -> str:
        """For an answer that is no letter."""
        return "Answer with one letter."

    def request(self, number: int) -> Request:
        """Ten films were seen, ten are offered."""
        block, row = divmod(self.first + number, BLOCK)
        films = [f"Film {n} ({1930 + n % 95})" for n in self._drawn(block)[row].tolist()]
        seen = "\n".join(f"{place}. {film}" for place, film in enumerate(films[: self.history], 1))
        offered = "\n".join(f"{LETTERS[place]}. {film}" for place, film in enumerate(films[self.history :]))
        messages = self.prompt.messages(history=seen, candidates=offered, n=str(OFFERED))
        body = {"messages": messages, "max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": 20}
        return Request("chat", body, self.prompt.digest)

    def _draw(self, block: int) -> Any:
        return np.random.default_rng(block).integers(0, 60_000, (BLOCK, self.history + OFFERED))

    def readable(self, number: int, reply: Reply) -> bool:
        """Whether one of the letters is answered."""
        return choice_of(reply, LETTERS[:OFFERED]) is not None


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser()
    known = os.environ.get
    parser.add_argument("--questions", type=int, default=int(known("QUESTIONS", "1000000")))
    parser.add_argument("--real", type=int, default=int(known("REAL", "16")), help="questions in a turn of a client")
    parser.add_argument("--threads", type=int, default=int(known("THREADS", "0")) or None, help="of llama.cpp")
    options = parser.parse_args()
    instant = _instant(options.questions)
    real = run_async(_real(options.real, options.threads)) if options.real else None
    ok = instant["requests_per_s"] >= RATE and instant["bytes_per_question"] <= BYTES
    result = {
        "bench": "labelling",
        "target": {"requests_per_s": RATE, "bytes_per_question": BYTES, "share_of_best_client": SHARE},
        "measured": {name: instant[name] for name in ("requests_per_s", "bytes_per_question")}
        | ({"share_of_best_client": real["share"]} if real else {}),
        "questions": options.questions, "answered": instant["answered"], "memory_mb": instant["memory_mb"],
        "journal_mb": instant["journal_mb"], "slowest_tenth_requests_per_s": instant["slowest_tenth"],
        **({"real": real} if real else {}), "ok": ok and (real is None or real["share"] >= SHARE),
    }  # fmt: skip
    print(json.dumps(result))


def _instant(n: int) -> dict[str, Any]:
    """Rate and memory against a server that answers at once."""
    with tempfile.TemporaryDirectory() as folder, serving() as url, _watched() as seen:
        endpoint = Endpoint(url=url, pace={"start": 32, "most": 128})
        journal = Path(folder) / "journal.sqlite"
        asked = run_async(_ask(endpoint, journal, Lists(n), seen))
        counted, size = stats(url), journal.stat().st_size
    times, sizes = np.array(seen.times), np.array(seen.sizes)
    done = np.array(seen.done)
    assert counted["questions"] == counted["paid"] == asked.counts["answered"] == n, (counted, asked.counts)
    tenths = [np.searchsorted(done, share * n) for share in np.linspace(0.1, 1, 10)]
    tenths = [min(int(at), len(done) - 1) for at in tenths]
    rates = [(done[b] - done[a]) / max(times[b] - times[a], 1e-9) for a, b in pairwise(tenths)]
    late = done > 0.1 * n  # the first tenth fills caches
    grows = np.polyfit(done[late], sizes[late], 1)[0] if late.sum() > 2 else float("nan")
    for at in tenths:
        print(f"{done[at]:>9,} questions  {times[at] - times[0]:7.1f} s  {sizes[at] / 1e6:6.0f} MB")
    return {
        "requests_per_s": round(n / asked.seconds, 1), "bytes_per_question": round(float(grows), 1),
        "memory_mb": [round(float(sizes[at]) / 1e6) for at in tenths], "answered": asked.counts["answered"],
        "journal_mb": round(size / 1e6), "slowest_tenth": round(float(min(rates)), 1),
    }  # fmt: skip


class _Seen:
    """Memory of this process over the questions that were settled."""

    def __init__(self) -> None:
        self.settled = 0
        self.times, self.done, self.sizes = list[float](), list[int](), list[int]()

    def look(self) -> None:
        """Write down where we are."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.times.append(time.perf_counter())
        self.done.append(self.settled)
        self.sizes.append(pages * 4096)

    def count(self) -> None:
        """One more was settled."""
        self.settled += 1


@contextmanager
def _watched() -> Iterator[_Seen]:
    seen, ended = _Seen(), threading.Event()

    def watch() -> None:
        while not ended.wait(0.25):
            seen.look()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
        seen.look()


async def _ask(backend: Any, journal: Path, questions: Lists, seen: _Seen | None = None) -> Asked:
    opened = await backend.open()
    try:
        return await _run(opened, backend, journal, questions, seen)
    finally:
        await opened.close()


async def _run(opened: Any, config: Any, journal: Path, questions: Lists, seen: _Seen | None = None) -> Asked:
    with Journal(journal, "bench") as book:
        purse = Purse(Budget(), Prices(), book.spent())
        engine = Engine(questions, opened, book, purse, config.pace, Patience(), Again())
        if seen is not None:
            engine.watch = seen.count
        return await engine.run()


async def _real(n: int, threads: int | None) -> dict[str, Any]:
    """The engine and a bare client, in turns, on one llama.cpp server; other questions each time, as it caches."""
    config = GGUF(context=1024, slots=4, threads=threads)
    opened = await config.open()
    bare: dict[int, float] = {}
    engine: list[float] = []
    first = 0
    try:
        for turn in range(2):
            for at_once in (4, 8):
                first += n
                rate = await _bare(opened, Lists(n, 4, first), at_once)
                bare[at_once] = max(bare.get(at_once, 0.0), rate)
                print(f"bare client, {at_once:>2} at once   {rate:6.2f} requests/s")
            first += n
            with tempfile.TemporaryDirectory() as folder:
                asked = await _run(opened, config, Path(folder) / "journal.sqlite", Lists(n, 4, first))
            engine.append(n / asked.seconds)
            print(f"engine, turn {turn + 1}            {engine[-1]:6.2f} requests/s")
    finally:
        await opened.close()
    best = max(bare.values())
    return {
        "engine_requests_per_s": round(max(engine), 3), "share": round(max(engine) / best, 3),
        "bare_client_requests_per_s": {str(at_once): round(rate, 3) for at_once, rate in bare.items()}, "requests": n,
    }  # fmt: skip


async def _bare(opened: Any, questions: Lists, at_once: int) -> float:
    """Requests a second of a client that does nothing but send, so many at once."""
    numbers = iter(range(len(questions)))

    async def send() -> None:
        for number in numbers:
            await opened.ask(questions.request(number), "bare")

    start = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(at_once)))
    return len(questions) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
