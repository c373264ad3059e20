"""The benchmark page: the last line of every benchmark, as it was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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


_COLUMNS = 6
"""Things that are shown side by side, at most."""
_BESIDE = " · "


def page(results: Path) -> str:
    """The page, from the files in ``results``."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]
    if not found:
        return _HEAD + "\nNothing has been measured yet.\n"
    rows = [_row(result) for result in found]
    overview = _table(["benchmark", "measured", "target", "reached"], rows)
    return "\n\n".join([_HEAD.strip(), overview, *(_details(result) for result in found)]) + "\n"


def _row(result: dict[str, Any]) -> list[str]:
    """What was aimed at, and what of it was found; the rest stands below."""
    name, target, measured = result["bench"], result.get("target"), result.get("measured")
    if isinstance(target, dict) and isinstance(measured, dict) and target.keys() <= measured.keys():
        measured = {key: measured[key] for key in target}
    return [f"[{name}](#{name})", _text(measured), _text(target), _ok(result)]


def _ok(result: dict[str, Any]) -> str:
    return {True: "yes", False: "**no**", None: ""}[result.get("ok")]


def _details(result: dict[str, Any]) -> str:
    measured = result.get("measured")
    own = {name: value for name, value in result.items() if name not in _KNOWN}
    all_ = (measured if isinstance(measured, dict) else {}) | own
    single = {name: value for name, value in all_.items() if not isinstance(value, dict)}
    parts = [f"## {result['bench']}", f"`make bench-{result['bench']}`"]
    parts += [_table(["", ""], [[cell(name), _text(value)] for name, value in single.items()])] if single else []
    for name, value in all_.items():
        if isinstance(value, dict):
            parts += [f"**{cell(name)}**", _side_by_side(value)]
    return "\n\n".join(parts)


def _side_by_side(value: dict[str, Any]) -> str:
    """A few things with the same facts as columns; anything else as one fact in a row."""
    if 1 < len(value) <= _COLUMNS and all(isinstance(part, dict) for part in value.values()):
        columns = {name: dict(_leaves(part)) for name, part in value.items()}
        facts = dict.fromkeys(fact for leaves in columns.values() for fact in leaves)
        rows = [[fact, *(leaves.get(fact, "") for leaves in columns.values())] for fact in facts]
        return _table(["", *map(cell, columns)], rows)
    return _table(["", ""], [list(leaf) for leaf in _leaves(value)])


def _leaves(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Every single fact, with the names that lead to it."""
    for name, part in value.items():
        if isinstance(part, dict) and part:
            yield from _leaves(part, f"{before}{cell(str(name))}{_BESIDE}")
        else:
            yield before + cell(str(name)), _text(part)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


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
