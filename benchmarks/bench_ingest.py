"""How fast a log is read, and how much memory that takes.

A log of 20 million rows (200,000 users, 50,000 items, text ids, ratings, times in no order) is generated in a temporary
folder and read in a child process per format, so that the peak memory is that of reading alone.

    python benchmarks/bench_ingest.py [--rows 20000000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET = {"parquet_rows_per_s": 2_000_000, "csv_rows_per_s": 500_000, "peak_gb": 4.0}

_CHILD = """
import json, resource, sys, time
from recdistill.data import Cleaning, read
start = time.perf_counter()
data = read(sys.argv[1], cleaning=Cleaning(min_user_events=5, min_item_events=5))
seconds = time.perf_counter() - start
cpu = time.process_time()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_gb": peak, "read": data.report["rows_read"],
                  "fingerprint": data.fingerprint}))
"""


def generate(folder: Path, rows: int, chunk: int = 2_000_000) -> tuple[Path, Path]:
    """Write the same log as Parquet and CSV: popularity falls like a power law, as in real logs."""
    import numpy as np
    import polars as pl

    users, items = max(rows // 100, 10), max(rows // 400, 10)
    parts = folder / "parts"
    parts.mkdir()
    for number, start in enumerate(range(0, rows, chunk)):
        random = np.random.default_rng(number)
        n = min(chunk, rows - start)
        table = pl.DataFrame(
            {
                "user_id": random.integers(0, users, n),
                "item_id": (items * random.random(n) ** 2.5).astype(np.int64),
                "rating": random.integers(1, 11, n) / 2,
                "timestamp": 1_500_000_000 + random.integers(0, 10**8, n),
            }
        ).with_columns(pl.format("u{}", "user_id").alias("user_id"), pl.format("item-{}", "item_id").alias("item_id"))
        table.write_parquet(parts / f"{number:05}.parquet")
    parquet, csv = folder / "log.parquet", folder / "log.csv"
    pl.scan_parquet(parts / "*.parquet").sink_parquet(parquet)
    pl.scan_parquet(parquet).sink_csv(csv)
    return parquet, csv


def measure(path: Path) -> dict[str, float]:
    """Read one file in a process of its own."""
    done = subprocess.run([sys.executable, "-c", _CHILD, str(path)], stdout=subprocess.PIPE, check=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    speed = result["read"] / result["seconds"]
    print(
        f"{path.suffix[1:]:8} {result['seconds']:6.1f} s ({result['cpu']:.1f} s of CPU)  {speed:12,.0f} rows/s"
        f"  peak {result['peak_gb']:.2f} GB"
    )
    return result


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        parquet, csv = (measure(path) for path in generate(Path(folder), rows))
    measured = {
        "parquet_rows_per_s": round(rows / parquet["seconds"]),
        "csv_rows_per_s": round(rows / csv["seconds"]),
        "parquet_cpu_s": round(parquet["cpu"], 1),
        "csv_cpu_s": round(csv["cpu"], 1),
        "peak_gb": round(max(parquet["peak_gb"], csv["peak_gb"]), 2),
    }
    same = parquet["fingerprint"] == csv["fingerprint"]
    fast = all(measured[key] >= TARGET[key] for key in ("parquet_rows_per_s", "csv_rows_per_s"))
    print(
        json.dumps(
            {
                "bench": "ingest",
                "target": TARGET,
                "measured": measured,
                "rows": rows,
                "same_fingerprint": same,
                "parquet_ratio": round(measured["parquet_rows_per_s"] / TARGET["parquet_rows_per_s"], 2),
                "csv_ratio": round(measured["csv_rows_per_s"] / TARGET["csv_rows_per_s"], 2),
                "ok": same and fast and measured["peak_gb"] < TARGET["peak_gb"],
            }
        )
    )


if __name__ == "__main__":
    main()
