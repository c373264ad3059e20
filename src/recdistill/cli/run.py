"""``recdistill run``: every stage of a recipe."""

from __future__ import annotations

from .options import On, Out, Overrides, RayAddress, RayWorkers, RecipeFile, cluster, run_directory

__all__ = ["run"]


def run(
    recipe: RecipeFile,
    out: Out = None,
    overrides: Overrides = None,
    on: On = None,
    ray_address: RayAddress = None,
    ray_workers: RayWorkers = None,
) -> None:
    """Run every stage of a recipe that is not done yet.

    Data, teachers, both students, evaluation, bundle, report. Each stage is done once for the same inputs: a second run
    of an unchanged recipe does nothing; after a change or an interruption, only what is missing is done.
    """
    from ..recipes import load_recipe, run_recipe
    from .output import show_results

    loaded = load_recipe(recipe, tuple(overrides or ()))
    directory = run_directory(loaded.title, out)
    with cluster(on, ray_address, ray_workers):
        results = run_recipe(loaded, directory)
    show_results(results, directory)
