"""Student alone, distilled and teacher on a published benchmark, scored by the neutral referee.

``make bench-quality BENCH=citeulike-topology [METHOD=rrd] [SEEDS=5]``. METHOD is ``auto`` (the best that was found on
validation) or objectives of the library, joined with ``+``, with their papers' defaults beside the task's and the best
of three weights on validation. Everything that was fitted is kept in ``.cache/bench-quality``, ``predictions.tsv.gz``
of every seed among it; the last line is JSON, with the referee's means over the seeds, their spread (sample standard
deviation), and the tuned baselines.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from quality.baselines import bar
from quality.lessons import School, Student
from quality.plans import PLANS
from quality.predictions import judge, ranked
from quality.splits import BenchmarkSplit, load
from quality.tune import weighed
from recdistill.evaluation import compare, metric_values, transfer_ratio
from recdistill.evaluation.agreement import overlap
from recdistill.evaluation.slices import slices
from recdistill.files import read_json, write_json
from recdistill.models import RankingModel

Line = dict[str, Any]


def main() -> None:
    """Train what is missing, print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default=os.environ.get("BENCH", "citeulike-topology"), choices=sorted(PLANS))
    parser.add_argument("--method", default=os.environ.get("METHOD", "auto"))
    parser.add_argument("--seeds", type=int, default=int(os.environ.get("SEEDS", "5")))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    plan = PLANS[args.bench]
    split = load(plan.bench, ordered=plan.ordered)
    school = School(split, plan)
    best = ranked(school.teacher, split, "test")
    teacher = judged(school.teacher, split, school.rankings.path.parent) | sliced(best, split)
    taught, weight = (school.plan.arm("auto"), None) if args.method == "auto" else weighed(school, args.method)
    arms = {"alone": school.plan.arm("alone"), "distilled": taught}
    students: dict[str, list[Student]] = {}
    rows: dict[str, list[Line]] = {}
    for name, arm in arms.items():
        students[name] = [school.student(arm, seed) for seed in range(args.seeds)]
        rows[name] = [measured(student, split, best) for student in students[name]]
        print(f"{name:10}", _short(mean(rows[name])), flush=True)
    print(f"{'teacher':10}", _short(teacher), flush=True)
    baselines = {name: bar(split, name)["test"] for name in ("item-knn", "ease")}
    metric = split.select
    ratio = transfer_ratio(mean(rows["distilled"])[metric], mean(rows["alone"])[metric], teacher[metric])
    line = {
        "bench": "quality",
        "benchmark": args.bench,
        "method": args.method,
        "weight": weight,
        "seeds": args.seeds,
        "metric": metric,
        "transfer_ratio": None if ratio.ratio is None else round(ratio.ratio, 4),
        **{name: mean(found) for name, found in rows.items()},
        "spread": {name: spread(found, metric) for name, found in rows.items()},
        "verdicts": verdicts(students["distilled"], students["alone"], split),
        "teacher": teacher,
        "teaching_seconds": round(school.teaching_seconds, 1),
        "fusion": {name: round(weight, 3) for name, weight in school.teacher.weights_by_name().items()},
        **{name: _short(found) for name, found in baselines.items()},
        "parameters": {
            "student": school.plan.student.build(split, school.embeddings).n_parameters,
            "teacher": school.teacher.n_parameters,
        },
    }
    print(json.dumps(line))


def measured(student: Student, split: BenchmarkSplit, teacher: np.ndarray[Any, Any]) -> Line:
    """The referee's figures of a student on test, its slices, and how many of its first 10 items the teacher has."""
    path = student.directory / "test.json"
    if not path.exists():
        own = ranked(student.model, split, "test")
        line = judged(student.model, split, student.directory) | sliced(own, split)
        line["overlap@10"] = float(overlap(own, teacher, 10).mean())
        write_json(path, line | {"seconds": round(student.seconds, 1)})
    return dict(read_json(path))


def sliced(best: np.ndarray[Any, Any], split: BenchmarkSplit) -> Line:
    """Recall of the targets that are popular and of those that are not, in the longest lists that are judged."""
    return {name: round(float(np.nanmean(values)), 5) for name, values in by_slice(best, split).items()}


def by_slice(best: np.ndarray[Any, Any], split: BenchmarkSplit) -> dict[str, np.ndarray[Any, Any]]:
    """The same for every test context: float ``[contexts]``, NaN where there is no such target."""
    parts, metric = slices(split, split.test), f"recall@{split.cutoffs[-1]}"
    return {
        f"{name}_{metric}": metric_values(best, split.test.targets.keep(parts[name].targets), metric)
        for name in ("head", "tail")
    }


def verdicts(ours: list[Student], theirs: list[Student], split: BenchmarkSplit) -> dict[str, str]:
    """What the paired bootstrap over test contexts says about the difference of two kinds of students, by slice."""
    found = [[by_slice(ranked(student.model, split, "test"), split) for student in kind] for kind in (ours, theirs)]
    out = {}
    for name in found[0][0]:
        both = [np.stack([values[name] for values in kind]) for kind in found]
        told = compare(*both, split.test.users)
        out[name] = f"{told.difference:+.4f} ({told.low:+.4f} to {told.high:+.4f}): {told.verdict}"
    return out


def judged(model: RankingModel, split: BenchmarkSplit, directory: Path) -> Line:
    """The referee's numbers on test; its predictions stay in the directory."""
    return _short(judge(model, split, "test", directory / "predictions.tsv.gz"))


def mean(rows: list[Line]) -> Line:
    """Mean of every figure over the seeds."""
    return {name: round(statistics.fmean(row[name] for row in rows), 5) for name in rows[0]}


def spread(rows: list[Line], metric: str) -> float | None:
    """Sample standard deviation over the seeds."""
    return round(statistics.stdev(row[metric] for row in rows), 5) if len(rows) > 1 else None


def _short(line: Line) -> Line:
    return {name: value for name, value in line.items() if "@" in name or name == "seconds"}


if __name__ == "__main__":
    main()
