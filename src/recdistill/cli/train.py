"""``recdistill train``: a recipe up to its trained students."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .options import On, Out, Overrides, RayAddress, RayWorkers, RecipeFile, cluster, run_directory

if TYPE_CHECKING:
    from ..stages import Stage

__all__ = ["train"]


def train(
    recipe: RecipeFile,
    out: Out = None,
    overrides: Overrides = None,
    on: On = None,
    ray_address: RayAddress = None,
    ray_workers: RayWorkers = None,
) -> None:
    """Train both students of a recipe, alone and distilled.

    The test part of the data is not touched: use it to choose settings by their validation scores. run goes on from
    there.
    """
    from ..recipes import load_recipe
    from ..recipes.run import Run

    loaded = load_recipe(recipe, tuple(overrides or ()))
    run = Run(loaded, run_directory(loaded.title, out))
    with run.claimed(), cluster(on, ray_address, ray_workers):
        trainings = run.trainings
    _print(trainings, loaded.seeds)


def _print(trainings: Mapping[str, list[Stage]], seeds: list[int]) -> None:
    from rich import box
    from rich.table import Table

    from .output import console

    grid = Table("student", "seed", "best epoch", "validation", "time", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in grid.columns[1:]:
        column.justify = "right"
    for kind, stages in trainings.items():
        for seed, stage in zip(seeds, stages, strict=True):
            epoch = stage.info["best_epoch"]
            grid.add_row(kind, str(seed), str(epoch), _best(stage), f"{stage.info['fit_seconds']:.1f} s")
    console().print(grid)


def _best(stage: Stage) -> str:
    """The validation metric of the best epoch, for example ``ndcg@10 0.1234``."""
    epochs = [record for record in stage.info["history"] if record["epoch"] == stage.info["best_epoch"]]
    return ", ".join(f"{name} {value:.4f}" for record in epochs for name, value in record.get("valid", {}).items())
