"""``recdistill demo``: the whole way on real data, with nothing to download."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from .options import Overrides

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Run directory.")] = Path("runs/demo"),
    overrides: Overrides = None,
) -> None:
    """Distil on real data, with a recipe that is inside the package.

    On MovieLens, a text encoder, an LLM and large recommenders teach a small one. Nothing but packages is downloaded.
    """
    from ..recipes import load_recipe, run_recipe
    from .output import show_results

    with as_file(files("recdistill.recipes") / "movies.yaml") as path:
        recipe = load_recipe(path, tuple(overrides or ()))
    show_results(run_recipe(recipe, out), out)
