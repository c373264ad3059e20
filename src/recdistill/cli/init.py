"""``recdistill init``: a first recipe for your files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Columns, ItemColumns, roles

__all__ = ["init"]


def init(
    log: Annotated[str, typer.Argument(metavar="LOG", help="Interactions: a file, or a MovieLens or RecBole folder.")],
    items: Annotated[str | None, typer.Argument(metavar="[ITEMS]", help="Table of the items.")] = None,
    columns: Columns = None,
    item_columns: ItemColumns = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="By default named after the items, or the log.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the recipe if there is one.")] = False,
) -> None:
    """Look at your files and write a recipe for them.

    Its settings suit the size of the data; comments say what to change.
    """
    from ..errors import RunError
    from ..files import write_text
    from ..recipes.init import draft
    from ..recipes.schema import DataSpec
    from ..recipes.sources import read_data
    from .data import dataset_facts
    from .output import facts, shown

    spec = DataSpec(log=log, items=items, columns=roles(columns), item_columns=roles(item_columns))
    dataset = read_data(spec, Path())
    made = draft(dataset, log, items, out.parent if out else Path())
    recipe = out or Path(f"{made.title}.yaml")
    if recipe.exists() and not force:
        raise RunError("this recipe exists", where=recipe, hint="name another with --out, or overwrite it with --force")
    write_text(recipe, made.text)
    facts(dataset_facts(dataset.report))
    typer.echo("")
    facts([("wrote", shown(recipe)), ("next", f"recdistill run {shown(recipe)}")])
