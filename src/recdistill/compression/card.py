"""The model card that travels with a bundle, as JSON and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files import write_json, write_text

__all__ = ["card_markdown", "write_card"]


def write_card(directory: Path, card: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write ``card.json`` and ``card.md``.

    Args:
        directory: Where.
        card: What the author says: ``title`` and any further sections, for example ``data``, ``licence``, ``teacher``,
            ``metrics``, ``transfer_ratio``, ``limits``. Values are text, numbers, lists or mappings (JSON-like).
        facts: What the bundle knows about itself; becomes the section ``bundle``.
    """
    whole = {**card, "bundle": dict(facts)}
    write_json(directory / "card.json", json.loads(json.dumps(whole, default=str)))
    write_text(directory / "card.md", card_markdown(whole))


def card_markdown(card: Mapping[str, Any]) -> str:
    """The card as Markdown: a heading for each section, a list for what has parts."""
    lines = [f"# {card.get('title', 'A recommender made with recdistill')}", ""]
    for key, value in card.items():
        if key != "title":
            lines += [f"## {key.replace('_', ' ').capitalize()}", "", *_body(value), ""]
    return "\n".join(lines)


def _body(value: Any, indent: str = "") -> list[str]:
    if isinstance(value, Mapping):
        return [line for name, part in value.items() for line in _entry(str(name), part, indent)]
    if isinstance(value, (list, tuple)):
        return [f"{indent}- {_text(part)}" for part in value]
    return [_text(value)]


def _entry(name: str, value: Any, indent: str) -> list[str]:
    if isinstance(value, (Mapping, list, tuple)):
        return [f"{indent}- **{name}**", *_body(value, indent + "  ")]
    return [f"{indent}- **{name}**: {_text(value)}"]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
