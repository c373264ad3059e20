"""The page about methods: which are there, and what each was measured to do on published benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["page"]

_HEAD = """\
# Methods, measured

<!-- Made by docs/generate.py from benchmarks/results/quality. Do not edit. -->

What is transferred is one choice among a few: *which items* of a teacher's list are used, *how much* each counts,
*what* is compared (probabilities, order, pairs), and *when*. Each [objective](reference/components.md) is one such
combination with the defaults of its paper; `ranking` combines the parts freely.

## What was measured

Every row is the last line of

```bash
make bench-quality BENCH=citeulike-topology METHOD=rrd SEEDS=3
```

`METHOD=auto` is the best that was found on validation. The student is the same on all rows of a benchmark. Its
settings alone and distilled were found by the same search with as many trainings each (`benchmarks/quality/tune.py`);
before it, about twenty further trainings on validation chose the kind of labels. Single methods run with their
papers' defaults beside cross-entropy, in the loop settings of the student alone, so they are a starting point and not
their best. All figures are means over the seeds on the test part, by an independent referee program; ± is the
standard deviation over the seeds.
The benchmarks' data are not part of this repository.
"""
_TAIL = """\
## What to take from it

- **A low-rank student learns better from ranks than from probabilities.** On `citeulike-topology` the teacher's first
  items as labels, weighted by position (`hard-labels`), carry much more than the exact probabilities (`soft-labels`):
  recall@50 on validation .332 against .283. A vector of 20 numbers cannot follow a peaked distribution and spends
  itself on a few items.
- **Look at item-kNN and EASE first.** Where they stand above the distilled student, and they are quick enough for your
  latency, distillation is not worth having.
- **Temperature and tail matter where the student is strong.** For a sequence model the calibrated probabilities
  (`soft-labels` at T = 1, with the tail) were the best teacher: see the demo's recipe.
- **A teacher at the ends of histories.** Teachers also rank where a history ends and nobody knows what follows; a
  student of users (`mf`, `lightgcn`) learns from nothing else.
"""


def page(results: Path) -> str:
    """The page, from the files in ``results``."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
    parts = [_HEAD.strip()]
    for name in sorted({line["benchmark"] for line in found}):
        parts.append(_benchmark(name, [line for line in found if line["benchmark"] == name]))
    return "\n\n".join([*parts, _TAIL.strip()]) + "\n"


def _benchmark(name: str, lines: list[dict[str, Any]]) -> str:
    lines = sorted(lines, key=lambda line: (line["method"] != "auto", -line["distilled"][line["metric"]]))
    first = lines[0]
    shown = [metric for metric in first["teacher"] if "@" in metric and metric.partition("@")[0] in ("recall", "ndcg")]
    tail = next(key for key in first["distilled"] if key.startswith("tail_"))
    head = ["model", "seeds", *shown, tail, "overlap@10", "transfer", "seconds"]
    rows = [_row("teacher", "", first["teacher"], shown, tail)]
    rows += [_row(f"{key}, tuned", "", first[key], shown, tail) for key in ("ease", "item-knn")]
    rows.append(_row("student alone", first["seeds"], first["alone"], shown, tail, first["spread"]["alone"], first))
    rows += [
        _row(f"`{line['method']}`", line["seeds"], line["distilled"], shown, tail, line["spread"]["distilled"], line)
        | {"transfer": _number(line["transfer_ratio"], 2)}
        for line in lines
    ]
    table = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    table += ["| " + " | ".join(row[column] for column in head) + " |" for row in rows]
    about = (
        f"Student {first['parameters']['student']:,} parameters, teacher {first['parameters']['teacher']:,}: "
        + ", ".join(f"{weight:.2f} {member}" for member, weight in first["fusion"].items() if weight)
        + f". Teaching took {first['teaching_seconds']:,.0f} s, once. Chosen by {first['metric']} on validation."
    )
    return f"### {name}\n\n{about}\n\n" + "\n".join(table)


def _row(
    model: str, seeds: object, values: dict[str, Any], shown: list[str], tail: str, spread: float | None = None,
    line: dict[str, Any] | None = None,
) -> dict[str, str]:  # fmt: skip
    row = {metric: _number(values.get(metric)) for metric in (*shown, tail, "overlap@10")}
    if spread is not None and line is not None:
        row[line["metric"]] += f" ± {spread:.4f}"
    seconds = _number(values.get("seconds"), 0)
    return {"model": model, "seeds": str(seeds), **row, "transfer": "", "seconds": seconds}


def _number(value: float | None, places: int = 4) -> str:
    return "" if value is None else f"{value:.{places}f}"
