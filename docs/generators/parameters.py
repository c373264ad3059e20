"""A table of the parameters of a Config class."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from recdistill.config import Config
from recdistill.data import SPLITS
from recdistill.objectives.schedule import Schedule

__all__ = ["cell", "prose", "table"]

_LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_WORDS = {NoneType: "null", Path: "path", Any: "anything", str: "text", float: "number"}


def table(config: type[Config], leave_out: Sequence[str] = ()) -> str:
    """Markdown: key, type, default and meaning of each parameter."""
    notes = _attribute_notes(config)
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in config.model_fields.items():
        if key not in leave_out and not field.exclude:
            meaning = field.description or notes.get(key, "")
            rows.append(f"| `{key}` | {cell(_type(field))} | {cell(_default(field))} | {cell(meaning)} |")
    return "\n".join(rows) if len(rows) > 2 else "No parameters."


def prose(thing: Any) -> str:
    """A docstring as Markdown, without the sections about arguments."""
    text = inspect.cleandoc(thing.__doc__ or "")
    text = re.split(r"^(?:Attributes|Args|Returns|Raises):$", text, maxsplit=1, flags=re.MULTILINE)[0]
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")
    return re.sub(r"(?<!\]\()(?<![<\w])(https?://[^\s),]+[^\s),.])", r"<\1>", text).strip()


def cell(text: str) -> str:
    """Text that is safe in a table."""
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|").replace("<", "&lt;")


def _type(field: FieldInfo) -> str:
    found = [(sign, getattr(m, name, None)) for m in field.metadata for name, sign in _LIMITS.items()]
    limits = "".join(f" {sign} {limit}" for sign, limit in found if limit is not None)
    name = _name(field.annotation)
    return name.removesuffix(" or null") + limits + (" or null" if name.endswith(" or null") else "")


def _name(annotation: Any) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if annotation in _WORDS:
        return _WORDS[annotation]
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inside)
    if origin in (Union, UnionType):
        return " or ".join(_name(part) for part in inside)
    if origin in (list, tuple):
        return f"list of {_name(inside[0])}"
    if origin is dict:
        return f"mapping of {_name(inside[0])} to {_name(inside[1])}"
    if origin is not None:  # Annotated
        return _name(inside[0])
    if annotation is Config:
        return "component"
    if annotation is Schedule:
        return "number or schedule"
    return str(getattr(annotation, "name", "") or getattr(annotation, "__name__", annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.default
    if value is PydanticUndefined:
        value = field.default_factory() if field.default_factory else None  # type: ignore[call-arg]
    if isinstance(value, Schedule):
        return f"`{value.start}`"
    if isinstance(value, Config):
        return f"`{value.name}`" if value.name in SPLITS else "as below"
    if isinstance(value, list | tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{json.dumps(value)}`" if value is None or isinstance(value, bool) else f"`{value}`"


def _attribute_notes(config: type[Config]) -> dict[str, str]:
    """The ``Attributes`` section of a docstring: name to text."""
    text = inspect.cleandoc(config.__doc__ or "")
    section = re.search(r"^Attributes:\n((?:(?:    .*)?\n?)+)", text, flags=re.MULTILINE)
    if section is None:
        return {}
    entries = re.split(r"^    (?=\w+(?:\s*\([^)]*\))?:)", section[1], flags=re.MULTILINE)
    pairs = [entry.partition(":") for entry in entries if ":" in entry]
    return {name.partition("(")[0].strip(): " ".join(note.split()) for name, _, note in pairs}
