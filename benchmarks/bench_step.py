"""What distillation adds to a training step, and whether our step is a good one to begin with.

A SASRec (dim 64, 2 blocks, 50 events) is trained for whole epochs, reading included, without a teacher and with stored
rankings (k = 100) as soft labels at T = 1 and T = 2. A plain loop with the same network, the full matrix of scores and
``functional.cross_entropy`` stands beside it. Variants take turns, so that a busy machine hurts all alike; the fastest
epoch of each counts.

    python benchmarks/bench_step.py [--rounds 5] [--items 3650 12000] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from recdistill.data import Catalogue, Contexts, Dataset, Sequences, Split
from recdistill.knowledge import TAIL_BETAS, Knowledge, Rankings, RankingsStore, RankingsWriter
from recdistill.models import SASRec
from recdistill.objectives import CrossEntropy, SoftLabels
from recdistill.training import Training, fit
from recdistill.training.batches import Loader

TARGET = 1.15
"""Distilled step / undistilled step, at most."""
EVENTS = 32_000
K = 100
STUDENT = SASRec(dim=64, blocks=2, max_length=50)


def made_up_split(n_items: int) -> Split:
    """Random histories of 20 to 200 events; one user is validated, so that validation costs nothing."""
    random = np.random.default_rng(0)
    lengths = random.integers(20, 200, EVENTS // 110)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    log = Sequences.from_sorted(rows, len(lengths), (n_items * random.random(len(rows)) ** 2).astype(np.int32))
    catalogue = Catalogue([str(i) for i in range(n_items)])
    one = Contexts(np.zeros(1, dtype=np.int32), log.take([0]), log.take([0]))
    return Split(Dataset([str(u) for u in range(len(lengths))], catalogue, log), log, one, one, "none")


def made_up_rankings(split: Split, path: Path) -> RankingsStore:
    """Rankings as a teacher would leave them: peaked lists that hold 0.7 of the probability, an even tail."""
    n, n_items = split.train.n_events, split.n_items
    random = np.random.default_rng(1)
    items = (random.integers(0, n_items, (n, 1)) + random.permutation(n_items)[:K]) % n_items
    shares = -np.sort(-(random.exponential(size=(n, K)) ** 2), axis=1)
    shares *= 0.7 / shares.sum(axis=1, keepdims=True)
    tail = [np.log(n_items - K) + beta * np.log(0.3 / (n_items - K)) for beta in TAIL_BETAS]
    floats = [np.log(shares), np.tile(tail, (n, 1)), np.ones(n)]
    writer = RankingsWriter(
        path, teacher="teacher", teacher_fingerprint="-", split_fingerprint=split.fingerprint, rows=n, k=K,
        n_items=n_items, meaning="made up",
    )  # fmt: skip
    writer.add(np.arange(n), Rankings(items.astype(np.int32), *(x.astype(np.float32) for x in floats)))
    return writer.seal()


def ours(split: Split, knowledge: Knowledge | None, temperature: float | None) -> Callable[[int], float]:
    """Seconds of one epoch of :func:`recdistill.training.fit`."""
    soft = [] if temperature is None else [SoftLabels(temperature=temperature)]

    def epoch(seed: int) -> float:
        training = Training(epochs=1, seed=seed, device="cpu")
        fitted = fit(STUDENT, split, [CrossEntropy(), *soft], knowledge=knowledge, training=training)
        return float(fitted.history[0]["seconds"])

    return epoch


def naive(split: Split) -> Callable[[int], float]:
    """Seconds of one epoch of the loop that everybody would write."""

    def epoch(seed: int) -> float:
        training = Training()
        model = STUDENT.build(split, seed=seed)
        optimiser = torch.optim.AdamW(model.parameters(), lr=training.lr, fused=True)
        loader = Loader(
            split.train, split.n_items, length=STUDENT.max_length, sequential=True, positions=training.batch,
            stores={}, temperatures={}, device=torch.device("cpu"),
        )  # fmt: skip
        start = time.perf_counter()
        for step in loader.epoch(seed, 1):
            table = model.table()
            loss = functional.cross_entropy(model.hidden(step.batch, table) @ table.T, step.batch.labels[:, 0])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), training.clip)
            optimiser.step()
        return time.perf_counter() - start

    return epoch


def measure(n_items: int, rounds: int, folder: Path) -> dict[str, float]:
    """Time of each variant for one size of catalogue, as a multiple of the undistilled one."""
    split = made_up_split(n_items)
    knowledge = Knowledge((made_up_rankings(split, folder / str(n_items)),))
    variants = {
        "undistilled": ours(split, None, None),
        "T=2": ours(split, knowledge, 2.0),
        "T=1": ours(split, knowledge, 1.0),
        "naive": naive(split),
    }
    wall: dict[str, list[float]] = {name: [] for name in variants}
    cpu: dict[str, list[float]] = {name: [] for name in variants}
    for round_ in range(rounds):
        for name, epoch in variants.items():
            start = time.process_time()
            wall[name].append(epoch(round_))
            cpu[name].append(time.process_time() - start)
    best = {name: min(taken) for name, taken in wall.items()}
    for name in variants:
        print(
            f"{n_items:6,} items  {name:12}{best[name]:8.3f} s an epoch (median {statistics.median(wall[name]):.3f})"
            f"  {split.train.n_events / best[name]:9,.0f} positions/s  x {best[name] / best['undistilled']:.3f}"
            f"  (processor time x {min(cpu[name]) / min(cpu['undistilled']):.3f})",
            flush=True,
        )
    return {name: round(taken / best["undistilled"], 4) for name, taken in best.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="cost of a distilled training step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, nargs="+", default=[3650, 12_000])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{torch.get_num_threads()} threads, {EVENTS:,} positions, k = {K}")
    with tempfile.TemporaryDirectory() as folder:
        ratios = {n_items: measure(n_items, given.rounds, Path(folder)) for n_items in given.items}
    worst = max(max(r["T=2"], r["T=1"]) for r in ratios.values())
    slower = max(1 / r["naive"] for r in ratios.values())
    result = {
        "bench": "step", "target": TARGET, "measured": worst, "vs_naive": round(slower, 4),
        "ratios": {str(n): r for n, r in ratios.items()}, "ok": worst <= TARGET and slower <= 1.0,
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
