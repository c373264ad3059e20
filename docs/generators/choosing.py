"""The table of the guide to methods: what distillation gave on each benchmark, and at what cost."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

__all__ = ["page"]

Line = dict[str, Any]

_BLOCK = re.compile(r"(<!-- gains:begin -->\n).*?(<!-- gains:end -->)", flags=re.DOTALL)
_DATA = {
    "amazon-beauty": ("22,363 users, 12,101 items, 198,502 events, titles", "FISM, 64, with text"),
    "alkdrec-games": ("20,091 sessions, 26,138 items, titles", "FISM, 10"),
    "alkdrec-ml": ("12,323 sessions, 8,475 items, titles", "FISM, 10"),
    "citeulike-rcekd": ("5,219 users, 25,181 items, 98,405 events, no order", "MF, 20"),
    "citeulike-rcekd-ordered": ("the same, teachers see an order", "MF, 20"),
    "citeulike-topology": ("5,219 users, 25,181 items, 115,142 events, no order", "MF, 20"),
}
"""What a benchmark is made of, and its student with its dimensions."""


def page(text: str, results: Path) -> str:
    """``text`` with the table of the files in ``results`` between its markers."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*-auto.json"))]
    return _BLOCK.sub(lambda match: match[1] + _table(found) + "\n" + match[2], text)


def _table(lines: list[Line]) -> str:
    head = [
        "benchmark",
        "data",
        "student",
        "metric",
        "item-kNN",
        "alone",
        "distilled",
        "gain",
        "teacher",
        "tail",
        "seconds",
    ]
    rows = [[*_about(line), *_figures(line)] for line in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def _about(line: Line) -> list[str]:
    return [line["benchmark"], *_DATA[line["benchmark"]], line["metric"]]


def _figures(line: Line) -> list[str]:
    metric = line["metric"]
    tail = next(key for key in line["alone"] if key.startswith("tail_"))
    own = {who: line[who][metric] for who in ("item-knn", "alone", "distilled", "teacher")}
    seconds = [line[arm].get("seconds") for arm in ("alone", "distilled")]
    alone, distilled = ("?" if one is None else f"{one:.0f}" for one in seconds)
    cost = f"{line['teaching_seconds']:,.0f}; {alone} → {distilled}"
    return [
        f"{own['item-knn']:.4f}", f"{own['alone']:.4f}", f"{own['distilled']:.4f}",
        f"{own['distilled'] / own['alone'] - 1:+.0%}", f"{own['teacher']:.4f}",
        f"{line['alone'][tail]:.4f} → {line['distilled'][tail]:.4f}", cost,
    ]  # fmt: skip
