"""How quickly it starts, how small a bundle is, and how long one recommendation takes.

The bundle is that of a SASRec for the 9,742 films of MovieLens latest-small, with weights as they are drawn: neither
its size nor its time depends on what they have learned. Histories are as long as the model reads, the slowest case. A
time is the median of its repetitions; for recommendations, that of the quietest round, because a round takes only a
tenth of a second and other work on the machine disturbs whole rounds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: one recommendation is for one core

import numpy as np
import numpy.typing as npt

from recdistill.data.dataset import Catalogue, Dataset, Split
from recdistill.data.sequences import Sequences
from recdistill.serving.bundle import Bundle

LIMITS = {"import_ms": 150.0, "help_ms": 300.0, "bundle_bytes": 1_000_000.0, "recommend_p50_ms": 0.2}
_RUNS, _ROUNDS, _ITEMS, _USERS, _WORDS = 9, 20, 9_742, 200, 4_000


def main() -> None:
    """Measure, print a line each, and the JSON at the end."""
    measured = {
        "import_ms": _process("import recdistill") - _process("pass"),
        "help_ms": _process("from recdistill.cli import main; main()", "--help"),
    }
    for dim in (32, 64):
        bundle = _bundle(dim)
        measured |= {f"dim{dim}_{name}": value for name, value in bundle.items()}
    worst = {name: max(v for key, v in measured.items() if key.endswith(name)) for name in LIMITS}
    for name, value in measured.items():
        print(f"{name:28} {value:>12,.3f}")
    ok = all(worst[name] <= limit for name, limit in LIMITS.items())
    print(json.dumps({"bench": "start", "target": LIMITS, "measured": measured, "ok": ok}))


def _process(code: str, *arguments: str) -> float:
    """Median milliseconds of a whole Python process that runs some code."""
    command = [sys.executable, "-c", code, *arguments]
    taken = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append((time.perf_counter() - start) * 1e3)
    return float(np.median(taken))


def _bundle(dim: int) -> dict[str, float]:
    """Size of a bundle and time of one recommendation from it."""
    from recdistill.compression import write_bundle
    from recdistill.models.sasrec import SASRec

    split = _split()
    with tempfile.TemporaryDirectory() as directory:
        path = write_bundle(SASRec(dim=dim).build(split), split.dataset, Path(directory) / "films.bundle")
        bundle = Bundle.open(path)
        histories = [split.train[user].astype(np.int64) for user in range(_USERS)]
        rounds = [_round(bundle, histories) for _ in range(_ROUNDS)]
        p50, p99 = np.min(rounds, axis=0)
        return {"bundle_bytes": float(bundle.size_bytes), "recommend_p50_ms": p50, "recommend_p99_ms": p99}


def _round(bundle: Bundle, histories: list[npt.NDArray[np.int64]]) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds, of a recommendation for each history."""
    taken = []
    for history in histories:
        start = time.perf_counter()
        bundle.recommend_indices(history)
        taken.append((time.perf_counter() - start) * 1e3)
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 99))


def _split() -> Split:
    """A log and a catalogue of the size of MovieLens latest-small, with titles that compress as badly as real ones."""
    random = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(random.choice(letters, random.integers(2, 9))) for _ in range(_WORDS)]
    titles = [
        f"{' '.join(random.choice(words, random.integers(1, 5)))} ({year})"
        for year in random.integers(1930, 2019, _ITEMS)
    ]
    genres = [tuple(sorted({words[at] for at in random.integers(0, 19, 2)})) for _ in range(_ITEMS)]
    ids = np.sort(random.choice(200_000, _ITEMS, replace=False)).astype(str).tolist()
    log = Sequences.from_lists(random.integers(0, _ITEMS, (_USERS, 50)).tolist())
    dataset = Dataset([str(user) for user in range(_USERS)], Catalogue(ids, titles=titles, categories=genres), log)
    empty: Any = None
    return Split(dataset, log, empty, empty, "all")


if __name__ == "__main__":
    main()
