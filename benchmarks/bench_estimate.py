"""Whether a job costs what was said: three jobs of SmolLM2-135M under llama.cpp, estimated from a sample and then done.

``make bench-estimate SCALE=1 THREADS=2``. The jobs differ in what is asked and in how much is written: lists
answered by one letter, single items answered yes or no, and attributes written as JSON; on the packaged MovieLens.
Targets: tokens within 10 % and time within 25 % of what the rest of the job then takes.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import recdistill as rd
from recdistill.cli.demo import RECIPE
from recdistill.recipes import load_recipe
from recdistill.recipes.sources import split_data
from recdistill.teachers.llm.backends import GGUF
from recdistill.teachers.llm.candidates import RandomCandidates
from recdistill.teachers.llm.estimate import estimate
from recdistill.teachers.llm.journal import Journal
from recdistill.teachers.llm.tasks import Attributes, Listwise, Pointwise

TOKENS, TIME, SAMPLE = 0.10, 0.25, 24


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser()
    known = os.environ.get
    parser.add_argument("--scale", type=float, default=float(known("SCALE", "1")), help="of the number of questions")
    parser.add_argument("--threads", type=int, default=int(known("THREADS", "0")) or None, help="of llama.cpp")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recipe = load_recipe(RECIPE)
        split = split_data(recipe.data, recipe.base, Path(folder) / "quarantine.csv")
        n = max(int(200 * options.scale), 2 * SAMPLE)
        jobs: Mapping[str, Any] = {
            "listwise": Listwise(contexts=n, history=5, candidates=RandomCandidates(n=5)),
            "pointwise": Pointwise(contexts=n // 2, history=5, candidates=RandomCandidates(n=2)),
            "attributes": Attributes(items=3 * n // 4, tokens=32),
        }
        found = {name: _job(task, split, Path(folder) / name, options.threads) for name, task in jobs.items()}
    worst = {
        "tokens": max(abs(job["tokens_error"]) for job in found.values()),
        "time": max(abs(job["time_error"]) for job in found.values()),
    }
    result = {
        "bench": "estimate", "target": {"tokens_error": TOKENS, "time_error": TIME},
        "measured": {"tokens_error": worst["tokens"], "time_error": worst["time"]}, "jobs": found, "sample": SAMPLE,
        "ok": bool(worst["tokens"] <= TOKENS) and worst["time"] <= TIME,
    }  # fmt: skip
    print(json.dumps(result))


def _job(task: Any, split: Any, place: Path, threads: int | None) -> dict[str, Any]:
    """Estimate, do, compare the rest."""
    # so small a model writes little JSON that can be read: that is no matter here, and is not asked again
    where = GGUF(threads=threads, context=1024)
    llm = rd.teachers.LLM(task=task, backend=where, missing=1.0, again={"unparsable": 0})
    said = estimate(llm, split, place / "k", sample=SAMPLE)
    before = _spent(place)
    llm.teach(split, place / "k")
    after = _spent(place)
    tokens = after[0] - before[0], said.tokens_in.value + said.tokens_out.value
    assert said.seconds is not None
    seconds = after[1] - before[1], said.seconds.value
    print(f"{task.name:<11} tokens {tokens[1]:>9,.0f} said, {tokens[0]:>9,} were   "
          f"time {seconds[1]:6.1f} s said, {seconds[0]:6.1f} s were")  # fmt: skip
    return {
        "questions": said.questions, "tokens": tokens[0], "tokens_said": round(tokens[1]),
        "tokens_error": round(float(tokens[1] / tokens[0] - 1), 4), "seconds": round(seconds[0], 1),
        "seconds_said": round(seconds[1], 1), "time_error": round(float(seconds[1] / seconds[0] - 1), 4),
        "seconds_interval": [round(said.seconds.low, 1), round(said.seconds.high, 1)],
    }  # fmt: skip


def _spent(place: Path) -> tuple[int, float]:
    """Tokens and seconds of asking that the journal has counted."""
    (name,) = (task for task in ("listwise", "pointwise", "attributes") if place.name == task)
    with Journal(place / "journal.sqlite", f"llm/{name}") as journal:
        spent = journal.spent()
    return spent.tokens_in + spent.tokens_out, spent.seconds


if __name__ == "__main__":
    main()
