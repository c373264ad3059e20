"""Run one benchmark, show what it prints, and keep its last line: ``python benchmarks/record.py NAME``.

Variables of make (``BENCH=…``, ``METHOD=…``, ``SEEDS=…``) reach it through the environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from recdistill.files import write_json

HERE = Path(__file__).parent


def main(name: str) -> int:
    """Run ``bench_NAME.py`` and write ``results/NAME.json``; returns its exit code."""
    script = HERE / f"bench_{name.replace('-', '_')}.py"
    if not script.exists():
        known = ", ".join(sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py")))
        print(f"error: no benchmark is called {name!r}; there are: {known}", file=sys.stderr)
        return 2
    line = ""
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            print(text, end="", flush=True)
            line = text.strip() or line
    if line.startswith("{"):  # a missed target is kept too
        found = json.loads(line)
        # a benchmark of many data sets and methods has a file for each
        file = f"{name}/{found['benchmark']}-{found['method']}" if "method" in found else name
        write_json(HERE / "results" / f"{file}.json", found)
        subprocess.run([sys.executable, str(HERE.parent / "docs" / "generate.py")], check=True)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
