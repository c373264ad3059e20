"""What ``kill -9`` costs: a job of 2,000 questions, killed 20 times at random, against the same job left alone.

The questions are those of a listwise task, asked by the teacher as recipes use it, in a process of its own each time; a
server in another process answers after 40 ms and counts. Targets: no answer lost, no question paid twice, and the same
store, byte for byte. A question that was with the server when its process died is asked again with the same
``Idempotency-Key``; the server, like gateways that heed it, gives the first answer again without pay. How many answers
it gave twice is said, too: that is what a server without this would be paid for twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import recdistill as rd
from loopback import serving, stats
from recdistill.knowledge import Knowledge
from recdistill.teachers.llm.backends import Endpoint
from recdistill.teachers.llm.candidates import RandomCandidates
from recdistill.teachers.llm.journal import Journal
from recdistill.teachers.llm.tasks import Listwise
from recdistill.testing import tiny_split

DELAY, AT_ONCE = 0.04, 16


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    split = tiny_split(n_users=options.questions // 4, n_items=60)
    with tempfile.TemporaryDirectory() as folder:
        alone, killed = Path(folder) / "alone", Path(folder) / "killed"
        with serving(DELAY) as url:
            start = time.perf_counter()
            _wait(_start(split, url, alone, options.questions))
            seconds = time.perf_counter() - start
            usual = stats(url)
        with serving(DELAY) as url:
            kills = _killed(split, url, killed, options)
            _wait(_start(split, url, killed, options.questions))
            found = stats(url)
        with Journal(killed / "journal.sqlite", "llm/listwise") as journal:
            answered, again = journal.counts().get("answered", 0), journal.spent().lost
        same = _contents(alone / "k") == _contents(killed / "k")
        lists = Knowledge.open(killed / "k").rankings()[0].manifest.extra["answers"]
    lost = options.questions - lists
    result = {
        "bench": "journal", "target": {"lost": 0, "paid_twice": 0, "same_store": True},
        "measured": {"lost": lost, "paid_twice": found["paid_twice"], "same_store": same},
        "kills": kills, "questions": options.questions, "answers_in_journal": answered,
        "asked_again_after_a_kill": again, "answered_twice_by_the_server": found["answered_twice"],
        "exchanges": found["received"], "exchanges_without_kills": usual["received"],
        "at_once_at_most": AT_ONCE, "seconds_without_kills": round(seconds, 1),
        "ok": lost == 0 and found["paid_twice"] == 0 and same and kills == options.kills
        and found["questions"] == options.questions,
    }  # fmt: skip
    print(json.dumps(result))


def _killed(split: Any, url: str, place: Path, options: argparse.Namespace) -> int:
    """Start the job and kill it when the server has seen so many requests, which are drawn at random."""
    rng = random.Random(options.seed)
    kills = 0
    for moment in sorted(rng.sample(range(1, options.questions - 2 * AT_ONCE), options.kills)):
        job = _start(split, url, place, options.questions)
        while stats(url)["received"] < moment + kills * AT_ONCE // 2:
            ended, _ = os.waitpid(job, os.WNOHANG)
            if ended:
                print(f"the job ended before kill {kills + 1}")
                return kills
            time.sleep(0.002)
        time.sleep(rng.random() * DELAY)  # anywhere between two answers
        os.kill(job, signal.SIGKILL)
        os.waitpid(job, 0)
        kills += 1
        print(f"kill {kills:>2}: {stats(url)['questions']:>5,} questions paid")
    return kills


def _start(split: Any, url: str, place: Path, questions: int) -> int:
    """The job in a process of its own; its number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        task = Listwise(at="all", contexts=questions, candidates=RandomCandidates(n=8))
        where = Endpoint(url=url, pace={"start": 8, "most": AT_ONCE})
        rd.teachers.LLM(task=task, backend=where).teach(split, place / "k")
    except BaseException as error:  # a child must never go on as its parent
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def _wait(job: int) -> None:
    _, status = os.waitpid(job, 0)
    if status:
        raise SystemExit("the job failed")


def _contents(folder: Path) -> dict[str, str]:
    """Hashes of all files of a store; what it cost stands beside it."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted((folder / "rankings").rglob("*"))
        if file.is_file()
    }


if __name__ == "__main__":
    main()
