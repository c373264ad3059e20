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


ASKING = """\
title: asking
data:
  log: ratings.csv
  split: {type: per-user-ratio, valid: 0.2, test: 0.2}
teachers:
  - {id: linear, type: recommender, model: {type: slist, l2: 10}}
  - id: large
    type: recommender
    model: {type: fism, dim: 16}
    snapshots: 2
    training: {epochs: 5, lr: 0.01}
    k: 20
    label: true
  - {id: both, type: ensemble, members: [linear, large], label: false}
student:
  model: {type: fism, dim: 4}
  alone: {objectives: [cross-entropy], training: {epochs: 1}}
  distilled:
    live:
      - {id: path, type: trajectory, of: large, every: 1}
      - {id: asked, type: on-policy, of: both, every: 1, after: 0, k: 10}
    objectives:
      - {type: soft-labels, teacher: path}
      - {type: soft-labels, teacher: asked}
    training: {epochs: 3}
"""


def test_a_trajectory_and_an_ensemble_that_is_asked(films: Path, tmp_path: Path) -> None:
    (films / "asking.yaml").write_text(ASKING, encoding="utf-8")
    run = Run(load_recipe(films / "asking.yaml"), tmp_path / "run")
    stage = run.trained("distilled", 0)
    told = [record["beside"] for record in stage.info["history"]]
    assert [record["asked"]["round"] for record in told] == [1, 2, 3]
    assert all(0 <= record["path"]["level"] <= 1 for record in told)
    assert [found.name for found in run.knowledge_for(run.recipe.student.distilled)] == ["teach/large", "teach/both"]
    assert Run(load_recipe(films / "asking.yaml"), tmp_path / "run").trained("distilled", 0).cached


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("teachers.0.snapshots=2", "slist is not trained by steps: there is nothing to keep on the way"),
        ("teachers.1.folds=2", "snapshots have seen all users, which folds are there to avoid; remove one of the two"),
        ("student.distilled.live.1.of=nobody", "no teacher is called 'nobody'"),
    ],
)
def test_misuse_of_teachers_that_are_asked(films: Path, setting: str, message: str) -> None:
    (films / "asking.yaml").write_text(ASKING, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_recipe(films / "asking.yaml", (setting,))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("student.alone.live=[{type: mean-teacher, id: me}]", "the student without one; use them under distilled"),
        ("student.distilled.live.1.id=big", "two teachers are called 'big'"),
        ("student.distilled={objectives: [cross-entropy]}", "nobody teaches the student; add a teacher, or a live one"),
        ("student.distilled.live.0.type=piir", "no live component is called 'piir'; did you mean 'peer'"),
        ("student.distilled.live.0.objectives=[{type: soft-labels, teacher: nobody}]", "no teacher is called 'nobody'"),
        ("student.distilled.live.0.objectives=[{type: soft-labels, teacher: studnt}]", "did you mean 'student'"),
        ("student.distilled.objectives.1.teacher=bigg", "no teacher is called 'bigg'; did you mean 'big'"),
    ],
)
def test_misuse_is_one_line(recipe: Path, setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(recipe, (setting,))
