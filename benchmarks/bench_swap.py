"""Does a request fail while bundles are swapped? 200 hot swaps under load."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from pathlib import Path

from recdistill.serving.deployment import Home, Variant
from server import RECOMMEND, Load, bundle_of, counted, load, served, wrk_is_missing

SWAPS = 200
TARGET = {"failed": 0, "swaps": SWAPS}
_ITEMS, _DIM = 10_000, 64
_AT_MOST = 900.0


def main() -> int:
    """Measure and print."""
    if why := wrk_is_missing():
        print(f"error: {why}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        bundles = [bundle_of(root / f"run-{seed}", _ITEMS, _DIM, seed) for seed in range(2)]
        home = Home.of(bundles[0])
        with served(bundles[0], "--set", "watch=0.02") as server, server.client() as client:
            before = server.memory()
            found: list[Load] = []
            stop = threading.Event()

            def ask() -> None:
                while not stop.is_set():
                    found.append(load(server.url, RECOMMEND.format(length=10, n_items=_ITEMS), 5))

            asking = threading.Thread(target=ask)
            asking.start()
            taken = []
            for number in range(1, SWAPS + 1):
                began = time.perf_counter()
                home.publish([Variant("main", bundles[number % 2])])
                while client.card()["deployment"] < number:
                    if time.perf_counter() - began > _AT_MOST:
                        sys.exit(f"error: swap {number} was not followed")
                    time.sleep(0.005)
                taken.append(time.perf_counter() - began)
                if not number % 20:
                    print(f"{number} swaps, {sum(one.requests for one in found):,} requests", flush=True)
            stop.set()
            asking.join()
            requests = sum(one.requests for one in found)
            broken = int(counted(server, "recdistill_requests_total", status="5"))
            measured = {
                "swaps": int(counted(server, "recdistill_swaps_total", outcome="done")),
                "failed": max(broken, sum(one.failed for one in found)),
                "requests": requests,
                "requests_per_second": requests / sum(one.requests / one.rate for one in found),
                "p99_ms": max(one.p99 for one in found),
                "seconds_per_swap": sum(taken) / len(taken),
                "memory_growth_mb": server.memory() - before,
            }
    ok = measured["failed"] == 0 and measured["swaps"] == SWAPS
    print(json.dumps({"bench": "swap", "target": TARGET, "measured": measured, "ok": ok}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
