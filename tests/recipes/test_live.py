"""Teachers that learn beside the student, in a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from recdistill.errors import ConfigError
from recdistill.models import load_model
from recdistill.recipes import load_recipe, run_recipe
from recdistill.recipes.run import Run

RECIPE = """\
title: live
data:
  log: ratings.csv
  split: {type: per-user-ratio, valid: 0.2, test: 0.2}
student:
  model: {type: fism, dim: 4, max_length: 10}
  alone: {objectives: [cross-entropy], training: {epochs: 1}}
  distilled:
    live:
      - {id: big, type: peer, model: {type: fism, dim: 12, max_length: 10}}
      - {id: self, type: mean-teacher, momentum: 0.5}
    objectives:
      - cross-entropy
      - {type: soft-labels, teacher: big, temperature: 1.0}
      - {type: hard-labels, teacher: self}
    training: {epochs: 2}
seeds: [0, 1]
evaluate: {baselines: [popularity], examples: 2}
"""


@pytest.fixture(scope="module")
def recipe(films: Path) -> Path:
    (films / "live.yaml").write_text(RECIPE, encoding="utf-8")
    return films / "live.yaml"


def test_what_learned_beside_the_student_is_kept_and_shown(recipe: Path, tmp_path: Path) -> None:
    data = run_recipe(load_recipe(recipe), tmp_path / "run")
    beside = [row for row in data.rows if row.role == "teacher"]
    assert {(row.name, row.seeds, row.note) for row in beside} == {
        ("big", 2, "learned beside the student"),
        ("self", 2, "learned beside the student"),
    }
    run = Run(load_recipe(recipe), tmp_path / "run")
    stage = run.trained("distilled", 0)
    assert stage.cached
    assert load_model(stage.path / "beside" / "big").config.model_dump()["dim"] == 12
    changed = Run(load_recipe(recipe, ("student.distilled.live.0.lr=0.1",)), tmp_path / "run")
    assert changed.trained("distilled", 0).key != stage.key
    assert changed.trained("alone", 0).cached


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("student.alone.live=[{type: mean-teacher, id: me}]", "the student without one; use them under distilled"),
        ("student.distilled.live.1.id=big", "two teachers are called 'big'"),
        ("student.distilled={objectives: [cross-entropy]}", "nobody teaches the student; add a teacher, or a live one"),
        ("student.distilled.live.0.type=piir", "no live component is called 'piir'; did you mean 'peer'"),
        ("student.distilled.live.0.objectives=[{type: soft-labels, teacher: nobody}]", "no teacher is called 'nobody'"),
        ("student.distilled.objectives.1.teacher=bigg", "no teacher is called 'bigg'; did you mean 'big'"),
    ],
)
def test_misuse_is_one_line(recipe: Path, setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(recipe, (setting,))
