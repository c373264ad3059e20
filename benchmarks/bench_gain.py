"""What distillation adds on the demo data: five seeds, student alone and distilled each with their own tuned settings.

Runs the demo's recipe with seeds 0..4 (`--seeds`), everything else as in `recdistill demo`, and beside it the same
student with nothing but the language model's item embeddings to learn from, in the settings of the student alone: what
the LLM adds by itself, and for whom. Stages that are done are kept under `.cache/bench-gain`, so a second run only
reads them.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from rich.console import Console

from recdistill.cli.demo import RECIPE
from recdistill.objectives import EmbeddingHint
from recdistill.recipes import load_recipe, run_recipe
from recdistill.recipes.schema import TrainSpec
from recdistill.reports import ReportData, console_table, judge

LLM = "smollm2-only"


def main() -> None:
    """Run, print the table, and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(".cache/bench-gain"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    recipe = load_recipe(RECIPE).replace(seeds=list(range(args.seeds)))
    recipe = recipe.replace(student=recipe.student.replace(ablations={LLM: llm_only(recipe.student.alone)}))
    data = run_recipe(recipe, args.out)
    Console(width=140).print(console_table(data))
    for line in judge(data).warnings:
        print("!", line)
    print(json.dumps(summary(data)))


def llm_only(alone: TrainSpec) -> TrainSpec:
    """The student's own training, with a hint from the language model's item embeddings."""
    return alone.replace(objectives=[*alone.objectives, EmbeddingHint(teacher="smollm2", weight=0.2)])


def summary(data: ReportData) -> dict[str, object]:
    """The figures that the issue of distillation turns on."""
    rows = {row.role: row for row in reversed(data.rows)}
    distilled, alone, teacher = rows["distilled"], rows["alone"], data.of_role("teacher")
    assert teacher is not None
    gain = data.comparison(distilled, alone)
    assert gain is not None
    relative = gain.difference / alone.metrics[data.metric]
    ratio = distilled.transfer_ratio
    small = (distilled.parameters or 0) <= (teacher.parameters or 0) / 10
    slices = {s.name: {name: round(value, 4) for name, value in s.values.items()} for s in data.slices}
    return {
        "bench": "gain",
        "target": {"relative": 0.10, "interval_above_zero": True, "transfer_ratio": 0.8, "parameters": "<= 1/10"},
        "metric": data.metric,
        "seeds": distilled.seeds,
        "rows": {row.name: round(row.metrics[data.metric], 4) for row in data.rows},
        "measured": {
            "relative": round(relative, 4),
            "gain": round(gain.difference, 4),
            "interval": [round(gain.low, 4), round(gain.high, 4)],
            "transfer_ratio": None if ratio is None else round(ratio, 3),
            "parameters": f"1/{(teacher.parameters or 0) // max(distilled.parameters or 1, 1)}",
        },
        "overlap": {row.name: round(row.overlap, 3) for row in data.rows if row.overlap is not None},
        "slices": slices,
        "notes": [
            line for line in judge(data).warnings if "slice" in line or LLM in line or "worse than alone" in line
        ],
        "ok": relative >= 0.10 and gain.low > 0 and ratio is not None and ratio >= 0.8 and small,
    }


if __name__ == "__main__":
    main()
