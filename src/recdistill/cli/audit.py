"""``recdistill audit``: whether a language model is worth asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import Json, Out, Overrides, RecipeFile, run_directory

if TYPE_CHECKING:
    from ..evaluation.audited import Audited

__all__ = ["audit"]


def audit(
    recipe: RecipeFile,
    contexts: Annotated[
        int, typer.Option("--contexts", metavar="N", min=1, help="Validation contexts asked about at most.")
    ] = 100,
    orders: Annotated[
        int, typer.Option("--orders", metavar="N", min=1, help="Different orders in which each list is shown.")
    ] = 3,
    lists: Annotated[
        str,
        typer.Option(
            "--lists",
            metavar="auto|drawn|random",
            help="The generator's lists that hold the right item, or the right item among random others.",
        ),
    ] = "auto",
    student: Annotated[
        bool, typer.Option("--student/--no-student", help="Train the student alone, to compare with.")
    ] = True,
    out: Out = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Say whether the language models of a recipe are worth it, before all is asked.

    On a sample of validation contexts: who is right, against guessing, popularity, item-kNN and the student; whether
    the answer follows the order of the candidates or the wording; calibration; for whom it is better. Answers are kept.
    """
    import json
    from typing import get_args

    from ..errors import ConfigError, nearest
    from ..recipes import load_recipe
    from ..recipes.audit import audits
    from ..teachers.llm.trial import Lists

    chosen = next((known for known in get_args(Lists) if known == lists), None)
    if chosen is None:
        raise ConfigError(f"there are no lists {lists!r}", where="--lists", hint=nearest(lists, get_args(Lists)))
    loaded = load_recipe(recipe, tuple(overrides or ()))
    found = audits(loaded, run_directory(loaded.title, out), contexts, orders, chosen, student)
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
        return
    for one in found:
        _print(one)
    if not found:
        typer.echo("no teacher of this recipe asks a language model")


def _print(one: Audited) -> None:
    from rich.table import Table

    from ..reports import audit_table
    from .output import console, facts

    layout, out = audit_table(one), console()
    out.print(f"[bold]{one.teacher}: {one.verdict}[/bold]", soft_wrap=True)
    for warning in one.warnings:
        out.print(f"  note: {warning}", style="dim", markup=False, soft_wrap=True)
    grid = Table("", *layout.heads, box=None)
    for name, cells in layout.lines:
        grid.add_row(name, *(f"{cell.text} ({cell.below})" if cell.below else cell.text for cell in cells))
    out.print(grid)
    facts(layout.facts)
