"""Terms of the student that validation chooses."""

from __future__ import annotations

from pathlib import Path

import pytest

from recdistill.errors import ConfigError
from recdistill.objectives import CrossEntropy
from recdistill.recipes import load_recipe
from recdistill.recipes.run import Run
from recdistill.training.auto import objectives_of

SHORT = ("student.distilled.objectives=auto", "student.distilled.training={epochs: 1}")


def test_all_seeds_train_by_what_was_chosen_with_the_first(films: Path, tmp_path: Path) -> None:
    run = Run(load_recipe(films / "films.yaml", SHORT), tmp_path / "run")
    chosen = run.chosen("distilled")
    assert chosen is not None
    assert chosen.name == "choose/distilled"
    assert run.settled("distilled").objectives == objectives_of(chosen.info)
    assert chosen.info["trials"][0]["name"] == chosen.info["name"]
    assert run.chosen("alone") is None
    assert run.settled("alone").objectives == [CrossEntropy()]
    stages = run.trainings["distilled"]
    assert [stage.info["best_epoch"] for stage in stages] == [1, 1]
    again = Run(load_recipe(films / "films.yaml", SHORT), tmp_path / "run").chosen("distilled")
    assert again is not None
    assert again.cached


def test_auto_stands_alone_and_is_taught(films: Path) -> None:
    with pytest.raises(ConfigError, match="auto chooses all terms, so it stands alone; remove the others"):
        load_recipe(films / "films.yaml", ("student.distilled.objectives=[cross-entropy, auto]",))
    with pytest.raises(ConfigError, match="auto needs a teacher"):
        load_recipe(films / "films.yaml", ("student.alone.objectives=auto",))
