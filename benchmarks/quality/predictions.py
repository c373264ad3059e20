"""Ranked lists under a benchmark's protocol, their file, and what the referee says about it."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recdistill.errors import RecdistillError
from recdistill.evaluation import metric_values, rank
from recdistill.files import atomic_path
from recdistill.models import RankingModel

from .splits import BenchmarkSplit, Part, bench_directory

__all__ = ["DEPTH", "judge", "metrics", "ranked", "referee", "write_predictions"]

DEPTH = 50
"""Items in a list; no protocol looks deeper."""
Ranked = npt.NDArray[np.int32]


def ranked(model: RankingModel, split: BenchmarkSplit, part: Part, depth: int = DEPTH) -> Ranked:
    """The best items of every context of a part, without its history and those that the protocol masks.

    The referee of ``amazon-beauty`` would count a target that is also in the history; such a one is never found here,
    which loses a few hits and can only make our numbers smaller.

    Args:
        model: For the split's catalogue.
        split: The benchmark.
        part: ``"valid"`` or ``"test"``.
        depth: Length of the lists.

    Returns:
        int32 ``[contexts, depth]``, -1 where no item is left.
    """
    contexts, masked = split.contexts(part), split.masked[part]
    best = rank(model, contexts, depth + int(masked.lengths.max(initial=0)))
    row = np.arange(len(best))[:, None] * split.n_items
    hidden = np.isin(row + best, masked.row_of_event() * split.n_items + masked.items) & (best >= 0)
    keep = np.argsort(hidden, axis=1, kind="stable")[:, :depth]
    return np.take_along_axis(np.where(hidden, -1, best), keep, axis=1).astype(np.int32)


def metrics(best: Ranked, split: BenchmarkSplit, part: Part) -> dict[str, float]:
    """Recall and NDCG as the referee takes them: a mean over all keys, in which one without target counts 0."""
    targets = split.contexts(part).targets
    names = [f"{metric}@{k}" for metric in ("recall", "ndcg") for k in split.cutoffs if k <= best.shape[1]]
    return {name: float(np.nan_to_num(metric_values(best, targets, name)).mean()) for name in names}


def write_predictions(path: Path, best: Ranked, split: BenchmarkSplit, part: Part) -> None:
    """Write ``key<TAB>item item …`` lines in the original ids, gzipped; equal lists give equal bytes."""
    ids = np.array(split.dataset.items.ids)
    lines = [f"{key}\t{' '.join(ids[row[row >= 0]])}\n" for key, row in zip(split.keys[part], best, strict=True)]
    with atomic_path(path) as unfinished:
        unfinished.write_bytes(gzip.compress("".join(["key\titems\n", *lines]).encode(), mtime=0))


def referee(path: Path, split: BenchmarkSplit, part: Part) -> dict[str, Any]:
    """Let the referee, a program of its own, score a file of predictions.

    Raises:
        RecdistillError: It refuses them; its words are in the message.
    """
    command = [sys.executable, str(bench_directory() / "referee.py"), split.name, str(path.resolve()), "--split", part]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or "nothing").splitlines()[-1]
        raise RecdistillError(f"the referee refuses the predictions: {said}", where=path)
    line: dict[str, Any] = json.loads(done.stdout)
    return line


def judge(model: RankingModel, split: BenchmarkSplit, part: Part, path: Path) -> dict[str, Any]:
    """Rank, write the predictions, and ask the referee."""
    write_predictions(path, ranked(model, split, part), split, part)
    return referee(path, split, part)
