"""SASRec and full-ranking evaluation against RecBole 1.2.1, on the same events, sizes and threads.

Training: how long until the best validation NDCG@10 that RecBole reaches in a few epochs (training and validation; no
start-up on either side). Evaluation: 20,000 users x 50,000 items x 64 dimensions, the same given factors. Each side
runs in a process of its own, so that its peak memory is its own; this one imports nothing heavy.

    python benchmarks/bench_recbole.py [--epochs 5] [--python .cache/recbole-venv/bin/python]

RecBole gets a virtual environment (``.cache/recbole-venv``) unless ``--python`` or ``RECBOLE_PYTHON`` names one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
VENV = HERE.parent / ".cache" / "recbole-venv"
REQUIREMENTS = ["setuptools<80", "wheel", "numpy<2", "pandas<2.3", "torch==2.13.0", "recbole==1.2.1"]
"""What RecBole 1.2.1 needs to start today; it does not say so itself."""
TARGET = {"training_ratio": 100.0, "evaluation_ratio": 5.0, "memory_ratio": 1.0}
SIZE = {"dim": 64, "blocks": 2, "heads": 2, "length": 50, "dropout": 0.2}
"""The network, on both sides."""
RECBOLE = {"batch": 2048, "lr": 1e-3}
"""RecBole's own defaults."""
OURS = {"batch": 512, "lr": 6e-3, "warmup": 50}
"""Chosen on validation for the time to RecBole's quality."""
RECBOLE_ROWS = {"default": 4096, "tuned": 256 * 50_001}
"""``eval_batch_size`` counts scores: RecBole's default means one user at a time here, the other 256 users."""

Lines = list[dict[str, Any]]


def recbole_python(given: str | None) -> str:
    """An interpreter that has RecBole; the virtual environment is made if it is not there or of other requirements."""
    if given:
        return given
    python, stamp = VENV / "bin" / "python", VENV / "requirements.txt"
    wanted = "\n".join(REQUIREMENTS)
    if not stamp.exists() or stamp.read_text() != wanted:
        base = shutil.which("python3.11") or sys.executable
        print(f"installing RecBole into {VENV}", flush=True)
        subprocess.run([base, "-m", "venv", "--clear", str(VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True, stdout=sys.stderr)
        stamp.write_text(wanted)
    return str(python)


class Sides:
    """Runs the two scripts, each command in a process of its own.

    Args:
        recbole: RecBole's interpreter.
        threads: Given to both.
    """

    def __init__(self, recbole: str, threads: int) -> None:
        self.recbole, self.threads = recbole, threads

    def theirs(self, command: str, *arguments: object, **options: object) -> Lines:
        """A command of ``recbole_side.py``."""
        return self._run([self.recbole, "-W", "ignore", str(HERE / "recbole_side.py"), command], arguments, options)

    def ours(self, command: str, *arguments: object, **options: object) -> Lines:
        """A command of ``recdistill_side.py``."""
        return self._run([sys.executable, str(HERE / "recdistill_side.py"), command], arguments, options)

    def _run(self, start: list[str], arguments: tuple[object, ...], options: dict[str, object]) -> Lines:
        words = [str(argument) for argument in arguments]
        words += [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        environment = os.environ | {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        lines: Lines = []
        with subprocess.Popen(
            [*start, *words, f"--threads={self.threads}"], stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            for text in process.stdout:
                if text.startswith("{"):
                    lines.append(json.loads(text))
                    print(f"  {Path(start[-2]).stem:15} {_human(lines[-1])}", flush=True)
        if process.returncode:
            sys.exit(f"{' '.join([*start, *words])} failed with exit code {process.returncode}")
        return lines


def _human(line: dict[str, Any]) -> str:
    return "  ".join(
        f"{key} {value:.4f}" if isinstance(value, float) else f"{key} {value}" for key, value in line.items()
    )


def ordered(source: Path, folder: Path) -> Path:
    """Copy ml-100k with its events numbered by time, ties in file order, as timestamps.

    RecBole keeps times as float32, in which seconds since 1970 are 64 s apart; with numbers up to 100,000 both sides
    see the same order. The folder must not be called ml-100k: RecBole would read its own copy instead.
    """
    rows = [line.split("\t") for line in (source / "ml-100k.inter").read_text().splitlines()[1:]]
    rows.sort(key=lambda row: float(row[3]))
    folder.mkdir()
    lines = [f"{user}\t{item}\t{number}\n" for number, (user, item, *_) in enumerate(rows, start=1)]
    (folder / f"{folder.name}.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(lines))
    return folder


def until(epochs: Lines, target: float) -> float | None:
    """Seconds until the first epoch whose validation reaches the target, or None."""
    seconds = 0.0
    for epoch in epochs:
        seconds += float(epoch["seconds"])
        if epoch["ndcg"] >= target:
            return seconds
    return None


def _of(lines: Lines, event: str) -> Lines:
    return [line for line in lines if line["event"] == event]


def training(sides: Sides, folder: Path, epochs: int, seeds: int) -> dict[str, Any]:
    """Both sides on ml-100k; ours once per seed, its median counts."""
    print(f"SASRec on ml-100k, RecBole for {epochs} epochs, recdistill until the same validation NDCG@10")
    data, lists = ordered(Path(sides.theirs("where")[0]["path"]), folder / "ordered"), folder / "lists.json"
    theirs = sides.theirs("sasrec", data, epochs=epochs, out=lists, **SIZE, **RECBOLE)
    reached = _of(theirs, "epoch")
    target = max(epoch["ndcg"] for epoch in reached)
    runs = [sides.ours("sasrec", data, lists=lists, seed=seed, **SIZE, **OURS) for seed in range(seeds)]
    times = [until(_of(run, "epoch"), target) for run in runs]
    ours = [seconds + _of(run, "end")[0]["outside"] for seconds, run in zip(times, runs, strict=True) if seconds]
    counts = ("users", "items", "events", "validated")
    same = all(_of(runs[0], "data")[0][key] == _of(theirs, "data")[0][key] for key in counts)
    check = _of(runs[0], "check")[0]
    recbole_seconds = until(reached, target) or 0.0
    return {
        "counts": {key: _of(theirs, "data")[0][key] for key in counts},
        "same_data": same and check["same_targets"],
        "ndcg": round(target, 4),
        "ndcg_difference": abs(check["ndcg_of_lists"] - reached[-1]["ndcg"]),
        "recbole_seconds": round(recbole_seconds, 1),
        "recdistill_seconds": round(statistics.median(ours), 2) if len(ours) == seeds else None,
        "training_ratio": round(recbole_seconds / statistics.median(ours), 1) if len(ours) == seeds else 0.0,
        "recbole_peak_mb": _of(theirs, "end")[0]["peak_mb"],
        "recdistill_peak_mb": max(_of(run, "end")[0]["peak_mb"] for run in runs),
    }


def evaluation(sides: Sides, folder: Path, repeat: int) -> dict[str, Any]:
    """Both sides on the generated log; the best of some repeats, RecBole as it comes and with a batch tuned for it."""
    print("full ranking, 20,000 users x 50,000 items x 64 dimensions, history masked on both sides")
    data, vectors = folder / "generated", folder / "vectors.npz"
    sides.ours("generate", data, vectors=vectors)
    ours = sides.ours("evaluation", data, vectors=vectors, repeat=repeat)
    theirs = {
        name: sides.theirs("evaluation", data, vectors=vectors, batch=rows, repeat=1 if name == "default" else repeat)
        for name, rows in RECBOLE_ROWS.items()
    }
    best = {name: min(line["seconds"] for line in _of(lines, "evaluation")) for name, lines in theirs.items()}
    own = min(line["seconds"] for line in _of(ours, "evaluation"))
    return {
        "recbole_evaluation_seconds": {name: round(seconds, 2) for name, seconds in best.items()},
        "recdistill_evaluation_seconds": round(own, 2),
        "evaluation_ratio": round(best["default"] / own, 1),
        "evaluation_ratio_tuned": round(best["tuned"] / own, 1),
        "evaluation_ndcg_difference": max(abs(ours[0]["ndcg"] - lines[0]["ndcg"]) for lines in theirs.values()),
        "recbole_evaluation_peak_mb": _of(theirs["tuned"], "end")[0]["peak_mb"],
        "recdistill_evaluation_peak_mb": _of(ours, "end")[0]["peak_mb"],
    }


def main() -> None:
    """Run both comparisons and print the verdict as the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5, help="of RecBole; each takes minutes")
    parser.add_argument("--seeds", type=int, default=3, help="of recdistill; the median counts")
    parser.add_argument("--repeat", type=int, default=2, help="timings of each evaluation; the best counts")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--python", default=os.environ.get("RECBOLE_PYTHON"), help="an interpreter that has RecBole")
    args = parser.parse_args()
    sides = Sides(recbole_python(args.python), args.threads)
    with tempfile.TemporaryDirectory() as folder:
        measured = evaluation(sides, Path(folder), args.repeat)
        measured |= training(sides, Path(folder), args.epochs, args.seeds)
    measured["memory_ratio"] = round(measured["recdistill_peak_mb"] / measured["recbole_peak_mb"], 3)
    ok = (
        measured["same_data"]
        and max(measured["ndcg_difference"], measured["evaluation_ndcg_difference"]) < 1e-6
        and measured["training_ratio"] >= TARGET["training_ratio"]
        and measured["evaluation_ratio"] >= TARGET["evaluation_ratio"]
        and measured["memory_ratio"] <= TARGET["memory_ratio"]
    )
    setup = {"epochs": args.epochs, "seeds": args.seeds, "threads": args.threads, "size": SIZE, "ours": OURS}
    setup |= {"recbole": RECBOLE, "history_masked": {"training": False, "evaluation": True}}
    print(json.dumps({"bench": "recbole", "target": TARGET, "measured": measured, "setup": setup, "ok": ok}))


if __name__ == "__main__":
    main()
