"""The benchmark page: the last line of every benchmark, as it was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .parameters import cell

__all__ = ["page"]

_HEAD = """\
# Benchmarks

<!-- Made by docs/generate.py from benchmarks/results. Do not edit. -->

Every figure is printed by a make target, whose last line is one JSON object; these are those lines. Rivals and limits
(a bare matrix product, RecBole, ...) are measured in the same run on the same machine. Repeat any of them:

```bash
make bench-step
```
"""
_KNOWN = ("bench", "target", "measured", "ok")


def page(results: Path) -> str:
    """The page, from the files in ``results``."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
    if not found:
        return _HEAD + "\nNothing has been measured yet.\n"
    rows = ["| benchmark | target | measured | reached |", "|---|---|---|---|"]
    rows += [_row(result) for result in found]
    return "\n\n".join([_HEAD.strip(), "\n".join(rows), *(_details(result) for result in found)]) + "\n"


def _row(result: dict[str, Any]) -> str:
    name = result["bench"]
    cells = [f"[{name}](#{name})", _text(result.get("target")), _text(result.get("measured")), _ok(result)]
    return f"| {' | '.join(cells)} |"


def _ok(result: dict[str, Any]) -> str:
    return {True: "yes", False: "**no**", None: ""}[result.get("ok")]


def _details(result: dict[str, Any]) -> str:
    rows = [f"| {cell(name)} | {_text(value)} |" for name, value in result.items() if name not in _KNOWN]
    body = "\n".join(["| | |", "|---|---|", *rows]) if rows else ""
    return f"## {result['bench']}\n\n`make bench-{result['bench']}`\n\n{body}".strip()


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "<br>".join(f"{cell(str(name))}: {_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else cell(str(value))
