"""``recdistill demo``: the whole way on real data, with nothing to download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Overrides

__all__ = ["RECIPE", "demo"]

RECIPE = Path(__file__).parent.parent / "recipes" / "movies.yaml"
"""The recipe of the demo, which is inside the package."""


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Run directory.")] = Path("runs/demo"),
    overrides: Overrides = None,
) -> None:
    """Distil on real data, with a recipe that is inside the package.

    On MovieLens, a text encoder, an LLM and large recommenders teach a small one. Nothing but packages is downloaded.
    """
    from ..recipes import load_recipe, run_recipe
    from .output import show_results

    show_results(run_recipe(load_recipe(RECIPE, tuple(overrides or ())), out), out)
