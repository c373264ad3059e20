"""What stored rankings cost and how fast they are read, against plain NumPy on the same bytes.

``python benchmarks/bench_store.py [--rows N]``. Targets: at most 4 bytes per (item, score) pair, all counted, and
1 GB/s of stored bytes when random batches of 4,096 rows are read.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recdistill.knowledge import Rankings, RankingsStore, RankingsWriter

K, N_ITEMS, BATCH = 64, 500_000, 4096
BYTES_PER_PAIR, RATE = 4.0, 1.0


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        store = _write(Path(folder) / "store", rows)
        write_seconds = time.perf_counter() - start
        size = sum(file.stat().st_size for file in store.path.iterdir())
        start = time.perf_counter()
        store = RankingsStore.open(store.path)
        open_seconds = time.perf_counter() - start
        plain = Path(folder) / "plain.bin"
        everything = store.records(np.arange(rows))
        everything.tofile(plain)
        mapped = np.memmap(plain, dtype=np.uint8, mode="r").reshape(everything.shape)
        measured = _rates(store, mapped, everything)
    pair = size / (rows * K)
    print(f"{rows:,} rows of k={K} from {N_ITEMS:,} items: {size / 1e6:.0f} MB, {pair:.3f} bytes per pair")
    print(f"write and seal {write_seconds:.1f} s; open and compare checksums {open_seconds:.2f} s")
    for name, rate in measured.items():
        print(f"{name:<44} {rate:6.2f} GB/s of stored bytes")
    random = measured["store, random rows"]
    result = {
        "bench": "store", "target": {"bytes_per_pair": BYTES_PER_PAIR, "read_gb_s": RATE},
        "measured": {"bytes_per_pair": round(pair, 4), "read_gb_s": round(random, 3)}
        | {name: round(rate, 3) for name, rate in measured.items()},
        "share_of_memmap": round(random / measured["numpy memmap, random rows"], 3),
        "million_pairs_decoded_per_s": round(measured["store, random rows, decoded"] * 1e3 / store.bytes_per_pair, 1),
        "rows": rows, "k": K, "n_items": N_ITEMS, "ok": pair <= BYTES_PER_PAIR and random >= RATE,
    }  # fmt: skip
    print(json.dumps(result))


def _write(path: Path, rows: int) -> RankingsStore:
    rng = np.random.default_rng(0)
    writer = RankingsWriter(
        path,
        teacher="bench",
        teacher_fingerprint="0",
        split_fingerprint="0",
        rows=rows,
        k=K,
        n_items=N_ITEMS,
        meaning="made up",
    )
    block = 50_000
    logp = -np.sort(rng.random((block, K), dtype=np.float32) * 9, axis=1)
    tail, confidence = rng.random((block, 3), dtype=np.float32), np.ones(block, dtype=np.float32)
    with writer:
        for start in range(0, rows, block):
            n = min(block, rows - start)
            items = rng.integers(0, N_ITEMS, (n, K), dtype=np.int32)
            writer.add(np.arange(start, start + n), Rankings(items, logp[:n], tail[:n], confidence[:n]))
    return writer.seal()


def _rates(store: RankingsStore, mapped: npt.NDArray[Any], memory: npt.NDArray[Any]) -> dict[str, float]:
    """GB/s of stored bytes for each way to read batches."""
    rows, width = memory.shape
    rng = np.random.default_rng(1)
    random = [rng.integers(0, rows, BATCH) for _ in range(60)]
    runs = [np.arange(start, start + BATCH) for start in rng.integers(0, rows - BATCH, 60)]
    copy = np.empty((BATCH, width), dtype=np.uint8)
    ways: dict[str, tuple[Callable[[Any], object], list[Any]]] = {
        "memcpy, consecutive rows (limit)": (lambda r: np.copyto(copy, memory[r[0] : r[0] + BATCH]), runs),
        "numpy in memory, random rows (limit)": (lambda r: memory.take(r, axis=0), random),
        "numpy memmap, random rows": (lambda r: mapped.take(r, axis=0), random),
        "store, consecutive rows": (store.records, runs),
        "store, random rows": (store.records, random),
        "store, consecutive rows, decoded": (store.read, runs),
        "store, random rows, decoded": (store.read, random),
    }
    best = dict.fromkeys(ways, 0.0)
    for _ in range(5):  # rounds interleaved, so that a busy machine slows all of them
        for name, (read, batches) in ways.items():
            start = time.perf_counter()
            for batch in batches:
                read(batch)
            best[name] = max(best[name], len(batches) * BATCH * width / (time.perf_counter() - start) / 1e9)
    return best


if __name__ == "__main__":
    main()
