"""Speed and memory of full ranking: 20,000 users, 50,000 items, 64 dimensions, all metrics and slices included.

The peer is the least that any exact full ranking must do: one bare matrix product and one ``torch.topk`` over the same
blocks, without histories, metrics or a defined order of ties. Both run alternately in this process, with the same
threads, and the peer gets the best of several block sizes and a place to write to that is allocated once.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recdistill.data.dataset import Catalogue, Contexts, Dataset, Split
from recdistill.data.sequences import Sequences
from recdistill.evaluation import evaluate, rank
from recdistill.models import ModelConfig, VectorModel

TARGET = 0.5
"""Speed of the evaluation as a share of the bare product and top-k."""
K = 20
BLOCKS = (128, 256, 512, 1024)
MEMORY = 512.0
"""MB that evaluation may take beside model and data; all scores at once would be 4,000."""

Floats = npt.NDArray[np.float32]


class Vectors(VectorModel):
    """Random vectors of users and items."""

    def __init__(self, n_users: int, n_items: int, dim: int) -> None:
        rng = np.random.default_rng(0)
        self.config, self.n_items, self.n_users = ModelConfig(), n_items, n_users
        self.users = rng.standard_normal((n_users, dim), dtype=np.float32)
        self.items = rng.standard_normal((n_items, dim), dtype=np.float32)

    def encode(self, contexts: Contexts) -> Floats:
        return self.users[contexts.users]

    def item_vectors(self) -> Floats:
        return self.items

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {"users": self.users, "items": self.items}


def make_split(n_users: int, n_items: int) -> Split:
    """Histories of 20 events from a skewed popularity, one target each, 3 categories an item out of 50."""
    rng = np.random.default_rng(1)
    events = 20
    offsets = np.arange(n_users + 1, dtype=np.int64)
    items = (n_items * rng.random(n_users * (events + 1)) ** 3).astype(np.int32).reshape(n_users, -1)
    train = Sequences(offsets * events, items[:, :events].ravel())
    contexts = Contexts(np.arange(n_users, dtype=np.int32), train, Sequences(offsets, items[:, events].copy()))
    categories = [tuple(f"category {c}" for c in row) for row in rng.integers(0, 50, (n_items, 3))]
    catalogue = Catalogue([str(i) for i in range(n_items)], categories=categories)
    dataset = Dataset([str(u) for u in range(n_users)], catalogue, train)
    return Split(dataset, train, contexts, contexts, "made up")


def bare(model: Vectors, block: int) -> None:
    """Matrix product and top-k, nothing else."""
    users, items = torch.from_numpy(model.users), torch.from_numpy(model.items).T
    space = torch.empty(block, model.n_items)
    for start in range(0, len(users), block):
        part = users[start : start + block]
        torch.topk(torch.mm(part, items, out=space[: len(part)]), K)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def resident(peak: bool) -> float:
    """Memory of this process in MB: now, or its peak until now."""
    if peak:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="full ranking against a bare matrix product and top-k")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=64)
    given = parser.parse_args()
    model, split = Vectors(given.users, given.items, given.dim), make_split(given.users, given.items)
    print(f"{given.users:,} users, {given.items:,} items, {given.dim} dimensions, {torch.get_num_threads()} threads")

    small = split.test.take(np.arange(100))
    rank(model, small, K)  # libraries are loaded and threads started before memory and time are measured
    before = resident(peak=False)
    works: dict[str, Callable[[], object]] = {
        "evaluate": lambda: evaluate(model, split).table(),
        "rank": lambda: rank(model, split.test, K),
    }
    works["evaluate"]()
    memory = resident(peak=True) - before
    works |= {f"bare {block}": lambda block=block: bare(model, block) for block in BLOCKS}  # type: ignore[misc]
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(given.rounds):
        for name, work in works.items():
            taken[name].append(seconds(work))
    best = {name: min(times) for name, times in taken.items()}
    for name, times in taken.items():
        rate = given.users / best[name]
        print(f"{name:10} best {best[name]:6.3f} s, median {statistics.median(times):6.3f} s  {rate:9,.0f} users/s")
    peer = min(time for name, time in best.items() if name.startswith("bare"))
    print(f"memory beside model and data: {memory:,.0f} MB, peak of the process {before + memory:,.0f} MB")
    speed = peer / best["evaluate"]
    result = {
        "bench": "evaluation",
        "target": TARGET,
        "measured": round(speed, 3),
        "rank_only": round(peer / best["rank"], 3),
        "evaluate_s": round(best["evaluate"], 3),
        "bare_s": round(peer, 3),
        "memory_mb": round(memory),
        "memory_limit_mb": MEMORY,
        "ok": speed >= TARGET and memory <= MEMORY,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
