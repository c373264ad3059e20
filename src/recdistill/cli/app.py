"""The commands and the options they share; a command's module is imported when its name is typed."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .guard import guarded
from .output import start_logging

__all__ = ["COMMANDS", "app"]

COMMANDS = {
    "demo": "Start",
    "init": "Start",
    "doctor": "Start",
    "data": "Work",
    "estimate": "Work",
    "audit": "Work",
    "pretrain": "Work",
    "run": "Work",
    "train": "Work",
    "evaluate": "Work",
    "compress": "Work",
    "report": "Use",
    "recommend": "Use",
    "batch": "Use",
    "export": "Use",
    "serve": "Serve",
    "deploy": "Serve",
    "update": "Serve",
    "components": "Use",
    "prompts": "Use",
    "journal": "Use",
}
"""Name of each command, which is also its module and function, and the panel of the help it stands in."""


class _Commands(TyperGroup):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        function = getattr(import_module(f".{cmd_name}", __package__), cmd_name)
        single = typer.Typer(add_completion=False, rich_markup_mode="rich")
        single.command(cmd_name, rich_help_panel=COMMANDS[cmd_name])(guarded(function))
        return typer.main.get_command(single)


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"recdistill {__version__}")
        raise typer.Exit


@app.callback()
def _shared(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more about what is done.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what went wrong, and the results.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Distil what a large model knows into a recommender small enough for one CPU core, and prove how much arrived."""
    if verbose and quiet:
        raise typer.BadParameter("--verbose and --quiet contradict each other")
    start_logging(int(verbose) - int(quiet))
