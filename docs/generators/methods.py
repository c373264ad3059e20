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

`METHOD=auto` is the best that was found on validation. The student is the same on all rows of a benchmark. How its
settings were found stands beside each table. Single methods run with their papers' defaults beside cross-entropy, in
the loop settings of the student alone, so they are a starting point and not their best. All figures are means over the
seeds on the test part, by an independent referee program; ± is the standard deviation over the seeds.
The benchmarks' data are not part of this repository.
"""
_NOTES = {
    "amazon-beauty": (
        "The student is a FISM of 64 dimensions with the text embeddings of a sentence encoder inside, alone too: the "
        "gain is that of the rankings only. Its two teachers are a SASRec of 128 and a FISM of 256 dimensions with the "
        "same texts. Published: DLLM2Rec .0553 / .0243 (recall and NDCG at 10), E4SRec, a language model at serving "
        "time, .0749 / .0434, LLMD4Rec .0758 / .0354. On validation seven models were compared as student or teacher; "
        "of the distilled arm one setting was tried, of the alone arm two."
    ),
    "citeulike-rcekd": (
        "Published for this student: RCE-KD .0278 / .0152 and .0285 / .0156 (recall and NDCG at 10) with teachers that "
        "do not see the order. The settings are those of citeulike-topology; on validation four further settings were "
        "tried of either arm."
    ),
    "citeulike-rcekd-ordered": (
        "The same data, but teachers read a user's items in the order of their ids. The split holds out the items with "
        "the highest ids, so such a teacher learns how the split was made; compare these figures only with those of "
        "teachers that do the same. Published: RCE-KD with an HSTU teacher .0457 / .0285. The student sees no order. "
        "Of the distilled arm three settings were tried on validation, the alone arm is that of citeulike-rcekd."
    ),
    "citeulike-topology": (
        "Published for this student: HTD .2744 (recall at 50) from a teacher of .3123. The settings of both arms "
        "were found by the same search with as many trainings each (`benchmarks/quality/tune.py`); before it, about "
        "twenty further trainings on validation chose the kind of labels."
    ),
}
"""What a reader must know about a benchmark's figures."""
_TAIL = """\
## What to take from it

- **A low-rank student learns better from ranks than from probabilities.** On `citeulike-topology` the teacher's first
  items as labels, weighted by position (`hard-labels`), carry much more than the exact probabilities (`soft-labels`):
  recall@50 on validation .332 against .283. A vector of 20 numbers cannot follow a peaked distribution and spends
  itself on a few items.
- **The shorter the lists that count, the steeper the ranks.** For recall at 50 the weight of a label fell by the
  factor e over 20 ranks, for ten items (`citeulike-rcekd`) over 4.
- **Choose the student before the teacher.** On `amazon-beauty` a low-rank item-to-item map (`fism`, 64 dimensions)
  alone reaches on validation what a SASRec of twice its width reaches, in less than half of the time.
- **Large and different teachers, fused.** The fusion was 3 to 6 % above the best single teacher on validation
  (`citeulike-rcekd`, `amazon-beauty`), and most of that arrived.
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
    return "\n\n".join([f"### {name}", about, *filter(None, [_NOTES.get(name)]), "\n".join(table)])


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
