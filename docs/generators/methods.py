"""The page about methods: which are there, and what each was measured to do on published benchmarks."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

__all__ = ["page"]

Line = dict[str, Any]

_HEAD = """\
# Methods, measured

<!-- Made by docs/generate.py from benchmarks/results/quality. Do not edit. -->

What is transferred is one choice among a few: *which items* of a teacher's list are used, *how much* each counts,
*what* is compared (probabilities, order, pairs), and *when*. Each [objective](reference/components.md) is one such
combination with the defaults of its paper; `ranking` combines the parts freely. What follows from the figures is in
[Which method](choosing.md).

## What was measured

Every row is the last line of

```bash
make bench-quality BENCH=citeulike-topology METHOD=rrd SEEDS=3
```

`METHOD=auto` is the best that was found on validation. The student is the same on all rows of a benchmark. How its
settings were found stands beside each table. All figures are means over the
seeds on the test part, by an independent referee program; ± is the standard deviation over the seeds.
The benchmarks' data are not part of this repository.
"""
_NOTES = {
    "alkdrec-ml": (
        "Published for a student of this size: ALKDRec .0126 / .0215 (recall at 5 and 10); item-kNN, not tuned, .0296 "
        "/ .0410, with the lists of GPT-4 .0308 / .0426. No language model was asked here. Ten dimensions hold little: "
        "without `debias`, the division by popularity, recall in the tail fell below that of the student alone; with "
        "it, tail and head gain. Longer trainings, more contexts (histories with events left out, ranked by the "
        "teacher) and texts inside gave nothing more. On validation twelve settings of the distilled arm were tried "
        "and six of the alone arm."
    ),
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
        "tried of either arm. Three copies of the graph model in place of one were better on validation (student .0548 "
        "against .0540) and are what `auto` has; on the test part one copy had given .0324 / .0177, with three seeds. "
        "The single methods below were taught by one."
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
_SINGLE = """
Each with its paper's defaults beside cross-entropy, in the loop settings of the student alone, and with the best of the
weights 0.1, 1 and 10 on validation (ten times more, too, while the greatest is the best). So they are a starting point,
compared on equal terms, and not their best. *Against alone* is the change of {metric}; it cannot be told where it is
within twice its standard error. Seconds are left out where other work ran beside.
"""
_WHY: dict[str, str] = {
    "soft-labels": (
        "`soft-labels`: the teacher's exact probabilities may be too peaked for 20 numbers per user; the best "
        "weight is the smallest that was tried. The same teacher's ranks help this student a lot."
    ),
    "cd": (
        "`cd` does not reproduce its paper's gain, though its overlap with the teacher rises. It compares a few drawn "
        "items with a logistic loss, beside a softmax over all items; the paper's student was trained with sampled "
        "negatives and is far weaker. The greatest weight that was tried was the best, so more might do more."
    ),
    "rd": (
        "`rd` gains less than its paper says and within the noise of three seeds. It counts the first ten items only; "
        "the methods that read the whole list gain most. Here, too, the greatest weight was the best."
    ),
    "ftd": (
        "`ftd` does not reproduce its paper's gain: relations between vectors add little to a softmax over all items. "
        "The greatest weight that was tried was the best, so more might do more."
    ),
    "htd": (
        "`htd` does not reproduce its paper's gain, which was over a student trained with sampled pairs; like the "
        "other methods that compare vectors it takes the greatest weight that was tried, and gives nothing."
    ),
    "de": (
        "`de` gains within the noise of three seeds, at the greatest weight that was tried: to rebuild a teacher's "
        "vectors from 20 numbers helps less than to see its lists."
    ),
    "dllm2rec": (
        "`dllm2rec` was made for a teacher whose lists and student read the same sequence. Here a user is a set; its "
        "three weights on the teacher's first ten items leave nothing that can be told from noise."
    ),
    "rrd+ir-rrd": (
        "`rrd + ir-rrd`: the item side takes back a part of what `rrd` gains alone, so the gain that its paper reports "
        "over RRD is not reproduced. Both share one weight here; the paper tunes them apart."
    ),
    "dist": (
        "`dist` gains within the noise of three seeds; what it gains is recall in the tail, perhaps because it "
        "compares lists by correlation and not by scale."
    ),
    "dkd": (
        "`dkd` does not reproduce its paper's gain, which was in classification: it splits off the probability of one "
        "target, and a user here has many. The best weight is the smallest that was tried."
    ),
    "margin-mse": (
        "`margin-mse` gains nothing in NDCG: differences of the teacher's scores, on its own scale, are not those that "
        "20 numbers for each user can have."
    ),
    "binary-labels": (
        "`binary-labels` gains nothing: a logistic loss on single items beside a softmax over all of them, as with "
        "`cd`."
    ),
    "similarity": (
        "`similarity` and `cka` gain nothing: like the other methods that compare the geometry of vectors, they say "
        "little to a softmax over all items. Their papers distil image classifiers, and nobody has published them here."
    ),
    "contrastive": (
        "`contrastive` gains nothing: which of the teacher's vectors belongs to which item is soon told apart; that "
        "says little about whom to show it to."
    ),
    "start-from": (
        "`start-from` begins with the teacher's factors, cut to 20 dimensions; after forty epochs of the same training "
        "nothing is left of the head start."
    ),
    "rrd+dcd+dcd-item": (
        "`rrd + dcd + dcd-item`: the corrections of DCD better the student alone, but take back a part of what `rrd` "
        "gains by itself, as `ir-rrd` does. All three share one weight here; the paper tunes them apart."
    ),
    "embedding-hint": (
        "`embedding-hint` gains within the noise of three seeds: as with the other methods that compare vectors, 20 "
        "numbers that are near a teacher's vectors are not those that rank best."
    ),
}
"""Methods that did not better the student, or not as much as a part of theirs, and why we think so."""


def page(results: Path) -> str:
    """The page, from the files in ``results``."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
    parts = [_HEAD.strip()]
    for name in sorted({line["benchmark"] for line in found}):
        parts += _benchmark(name, [line for line in found if line["benchmark"] == name])
    return "\n\n".join(parts) + "\n"


def _benchmark(name: str, lines: list[Line]) -> list[str]:
    best = next(line for line in lines if line["method"] == "auto")
    single = sorted((line for line in lines if line is not best), key=lambda line: -line["distilled"][line["metric"]])
    metrics = _metrics(best)
    tail = next(key for key in best["distilled"] if key.startswith("tail_"))
    rows = [_row("teacher", best["teacher"]) | {"seeds": ""}]
    rows += [_row(f"{key}, tuned", best[key]) | {"seeds": ""} for key in ("ease", "item-knn")]
    rows += [_student("student alone", best, "alone"), _student("`auto`", best, "distilled")]
    rows[-1]["transfer"] = _number(best["transfer_ratio"], 2)
    about = (
        f"Student {best['parameters']['student']:,} parameters, teacher {best['parameters']['teacher']:,}: "
        + ", ".join(f"{weight:.2f} {member}" for member, weight in best["fusion"].items() if weight)
        + f". Teaching took {best['teaching_seconds']:,.0f} s, once. Chosen by {best['metric']} on validation."
    )
    head = ["model", "seeds", *metrics, tail, "overlap@10", "transfer", "seconds"]
    notes = [*filter(None, [_NOTES.get(name)]), *_by_slice(best)]
    return [f"### {name}", about, *notes, _table(head, rows), *_methods(name, single, tail)]


def _by_slice(line: Line) -> list[str]:
    """For whom the distilled student is better than alone, if it was compared context by context."""
    if "verdicts" not in line:
        return []
    parts = [f"{name.replace('_', ' ')} {verdict}" for name, verdict in line["verdicts"].items()]
    return [f"`auto` against the student alone, with 95 % intervals over test contexts: {'; '.join(parts)}."]


def _methods(name: str, lines: list[Line], tail: str) -> list[str]:
    """The table of single methods, and why some do not do here what their papers say."""
    if not lines:
        return []
    rows = []
    for line in lines:
        row = _student(" + ".join(f"`{part}`" for part in line["method"].split("+")), line, "distilled")
        rows.append(row | {"weight": f"{line['weight']:g}", "transfer": _number(line["transfer_ratio"], 2)})
        rows[-1]["against alone"] = _against(line)
    metrics = _metrics(lines[0])
    head = ["method", "weight", *metrics, tail, "overlap@10", "transfer", "against alone", "seconds"]
    rows = [row | {"method": row["model"]} for row in rows]
    notes = [f"- {_WHY[line['method']]}" for line in lines if line["method"] in _WHY and _fails(line, lines)]
    return [
        f"#### Single methods on {name}",
        _SINGLE.format(metric=lines[0]["metric"]).strip(),
        _table(head, rows),
        *(["\n".join(notes)] if notes else []),
    ]


def _fails(line: Line, lines: list[Line]) -> bool:
    """Whether a method does not better the student, or a joined one not as much as its first part alone."""
    first, joined, _ = line["method"].partition("+")
    part = next((other for other in lines if joined and other["method"] == first), None)
    metric = line["metric"]
    return _verdict(line) != "better" or (part is not None and part["distilled"][metric] > line["distilled"][metric])


def _verdict(line: Line) -> str:
    """Whether the method's mean is above that of the student alone by more than twice their standard error."""
    gain = line["distilled"][line["metric"]] - line["alone"][line["metric"]]
    error = math.hypot(line["spread"]["alone"], line["spread"]["distilled"]) / math.sqrt(line["seeds"])
    return "cannot be told" if abs(gain) <= 2 * error else "better" if gain > 0 else "worse"


def _against(line: Line) -> str:
    own, alone = line["distilled"][line["metric"]], line["alone"][line["metric"]]
    return f"{own / alone - 1:+.0%}, {_verdict(line)}"


def _metrics(line: Line) -> list[str]:
    """The metrics of a benchmark, the shorter lists first."""
    parts = (metric.partition("@") for metric in line["teacher"])
    found = sorted((name, int(k)) for name, _, k in parts if name in ("recall", "ndcg"))
    return [f"{name}@{k}" for name, k in found]


def _table(head: list[str], rows: list[dict[str, str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row[column] for column in head) + " |" for row in rows])


def _student(model: str, line: Line, arm: str) -> dict[str, str]:
    row = _row(model, line[arm]) | {"seeds": str(line["seeds"])}
    if line["spread"][arm] is not None:
        row[line["metric"]] += f" ± {line['spread'][arm]:.4f}"
    return row


def _row(model: str, values: Line) -> dict[str, str]:
    row = defaultdict(str, {key: _number(value) for key, value in values.items() if "@" in key})
    row |= {"model": model, "seconds": _number(values.get("seconds"), 0)}
    return row


def _number(value: float | None, places: int = 4) -> str:
    return "" if value is None else f"{value:.{places}f}"
