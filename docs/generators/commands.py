"""The command-line reference, from the commands themselves."""

from __future__ import annotations

import inspect
from typing import Any

import typer

from recdistill.cli.app import COMMANDS, app

from .parameters import cell

__all__ = ["page"]

_HEAD = """\
# Command line

<!-- Made by docs/generate.py from the commands. Do not edit. -->

Results go to stdout, progress and warnings to stderr. Exit codes: 0 done, 1 unexpected error, 2 something you can put
right (one line says what, where, and what to do), 130 interrupted. `RECDISTILL_DEBUG=1` shows tracebacks.
"""


def page() -> str:
    """The page."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("recdistill", ["components"], resilient_parsing=True)
    parts = [_HEAD.strip(), f"## recdistill\n\n{inspect.cleandoc(group.help)}\n\n{_table(group)}"]
    for name in COMMANDS:
        parts.append(_section(name, group.get_command(context, name)))
    return "\n\n".join(parts) + "\n"


def _section(name: str, command: Any) -> str:
    arguments = [_metavar(p) for p in command.params if p.param_type_name == "argument"]
    usage = " ".join(["recdistill", name, *arguments, "[OPTIONS]"])
    return f"## {name}\n\n`{usage}`\n\n{inspect.cleandoc(command.help)}\n\n{_table(command)}".strip()


def _table(command: Any) -> str:
    rows = [f"| {_spelling(p)} | {cell(p.help or '')} | {_default(p)} |" for p in command.params if p.name != "help"]
    return "\n".join(["| | | default |", "|---|---|---|", *rows]) if rows else ""


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_metavar(parameter)}`"
    flags = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
    return flags if parameter.is_flag else f"{flags} `{cell(_metavar(parameter))}`"


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _default(parameter: Any) -> str:
    value = parameter.default
    return "" if value is None or value is False or callable(value) or parameter.required else f"`{value}`"
