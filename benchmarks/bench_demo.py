"""The newcomer's first minutes: `make demo` in a fresh clone with no virtual environment, again, and after `kill -9`.

Clones the committed state of this repository into a temporary folder and runs the documented command there. The third
run starts from an empty run directory and is killed at random moments until it finishes; its table must be the first.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ROUNDS = 40


def main() -> None:
    """Clone, run three times, print the times and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=5, help="times the third run is killed")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recdistill-demo-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], check=True)
        first, again = timed(clone), timed(clone)
        print(f"first run {first:.1f} s with installation, second {again:.1f} s", flush=True)
        table = results(clone)
        shutil.rmtree(clone / "runs")
        kills = killed_until_done(clone, args.kills, random.Random(args.seed))
        same = results(clone) == table
        print(f"killed {kills} times, {'same' if same else 'other'} results")
    measured = {"first_s": round(first, 1), "again_s": round(again, 1), "kills": kills, "same_results": same}
    ok = first <= 600 and again <= 10 and same
    print(json.dumps({"bench": "demo", "target": {"first_s": 600, "again_s": 10}, "measured": measured, "ok": ok}))


def timed(clone: Path) -> float:
    """Seconds of `make demo`."""
    start = time.monotonic()
    subprocess.run(["make", "demo"], cwd=clone, check=True)
    return time.monotonic() - start


def results(clone: Path) -> object:
    """What was measured, without times."""
    found = json.loads((clone / "runs" / "demo" / "results.json").read_text())
    return [{key: row[key] for key in ("name", "metrics", "parameters", "overlap")} for row in found["rows"]]


def killed_until_done(clone: Path, kills: int, random_: random.Random) -> int:
    """Start the demo, kill it with its children after some seconds, start it again, and so on; let the last one end."""
    done = 0
    for _ in range(ROUNDS):
        process = subprocess.Popen(["make", "demo"], cwd=clone, start_new_session=True)
        try:
            process.wait(random_.uniform(8, 45) if done < kills else None)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            done += 1
    return done


if __name__ == "__main__":
    main()
