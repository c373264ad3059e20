"""``recdistill evaluate``: what a run's models are worth on the test part."""

from __future__ import annotations

import typer

from .options import Json, Overrides, RunDirectory

__all__ = ["evaluate"]


def evaluate(run: RunDirectory, overrides: Overrides = None, as_json: Json = False) -> None:
    """Measure the models of a run on its test part.

    What is missing is done first; what is there is not done again. Other metrics, for example:
    --set evaluate.metric=recall@20 --set evaluate.k=[10,20]
    """
    from ..recipes import run_recipe
    from ..recipes.load import recipe_of_run
    from .output import show_results

    results = run_recipe(recipe_of_run(run, tuple(overrides or ())), run)
    if as_json:
        typer.echo(results.model_dump_json(indent=2))
    else:
        show_results(results, run)
