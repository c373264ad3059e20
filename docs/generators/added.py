"""The table of the page about language models: what a real one added, for frequent, rare and cold items."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["page"]

Line = dict[str, Any]

_BLOCK = re.compile(r"(<!-- added:begin -->\n).*?(<!-- added:end -->)", flags=re.DOTALL)
_HINT = re.compile(r"hint [\d.]+")
_SLICES = ("all ndcg@10", "warm recall@10", "tail recall@10", "cold recall@10")
_SIGNS = {"better": " **+**", "worse": " **−**"}


def page(text: str, results: Path) -> str:
    """``text`` with the table of ``llm-gain.json`` in ``results`` between its markers."""
    found = json.loads((results / "llm-gain.json").read_text(encoding="utf-8"))
    head = ["way", "data", *(name.replace("all ", "") for name in _SLICES)]
    rows = [head, ["---"] * len(head), *([way, data, *_figures(gains)] for way, data, gains in _rows(found))]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return _BLOCK.sub(lambda match: match[1] + table + "\n" + match[2], text)


def _rows(found: Line) -> Iterator[tuple[str, str, Line]]:
    for data, one in found.get("embeddings", {}).items():
        hint = next(name for name in one if _HINT.fullmatch(name))
        yield "its embeddings, hinted at", data, one[hint]
        yield "its embeddings, inside the student", data, one["inside"]
    for data, one in found.get("rankings", {}).items():
        yield "its rankings of five candidates", data, one["over the student alone"]
        yield "the same candidates, all alike", data, one["candidates over the student alone"]
        yield "its rankings over its candidates", data, one["rankings over candidates"]
    for data, one in found.get("fine-tuned", {}).items():
        yield f"its first {one['blocks']} blocks, fine-tuned, themselves", data, one["teacher over the student alone"]
        yield "the same over random weights", data, one["teacher over random weights"]
        yield "the student of these", data, one["student over the student alone"]
    for data, one in found.get("active", {}).items():
        for name, gains in one.items():
            if name.endswith(" over random"):
                yield f"{one['lists']} answers chosen by {one['best']}, over random ones", data, gains


def _figures(gains: Line) -> list[str]:
    """From what to what, with a sign where the difference is clear."""
    return [
        f"{one['over']:.4f} → {one['mean']:.4f}{_SIGNS.get(one['verdict'], '')}"
        for one in (gains[name] for name in _SLICES)
    ]
