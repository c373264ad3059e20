"""A student with several tasks, each with a teacher of its own, in a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from recdistill.errors import ConfigError
from recdistill.recipes import load_recipe, run_recipe
from recdistill.recipes.run import Run

RECIPE = """\
title: tasks
data:
  log: ratings.csv
  split: {type: per-user-ratio, valid: 0.2, test: 0.2}
tasks:
  liked: {min_rating: 4}
  bad: {min_rating: 0.5}
teachers:
  - {id: linear, type: recommender, model: {type: slist, l2: 10}, k: 20}
  - {id: liking, type: recommender, model: {type: fism, dim: 12}, training: {epochs: 2}, task: liked, k: 20}
student:
  model: {type: fism, dim: 4}
  alone: {objectives: [cross-entropy], training: {epochs: 2}}
  distilled:
    objectives: [cross-entropy, {type: soft-labels, teacher: linear}]
    tasks:
      liked: {weight: 0.5, objectives: [cross-entropy, {type: soft-labels, teacher: liking}]}
    training: {epochs: 2}
seeds: [0, 1]
evaluate: {baselines: [popularity], examples: 2}
"""


@pytest.fixture(scope="module")
def recipe(films: Path) -> Path:
    (films / "tasks.yaml").write_text(RECIPE, encoding="utf-8")
    return films / "tasks.yaml"


def test_every_task_is_measured_on_its_own(recipe: Path, tmp_path: Path) -> None:
    data = run_recipe(load_recipe(recipe), tmp_path / "run")
    assert [row.name for row in data.rows if row.role == "teacher"] == ["linear"]
    (task,) = data.tasks
    assert (task.name, task.meaning) == ("liked", "ratings from 4")
    assert list(task.values) == ["liking", "student, liked", "student alone", "popularity"]
    assert data.data is not None
    assert 0 < task.contexts <= data.data.parts["test contexts"]
    assert task.gain is not None
    assert task.gain.difference == pytest.approx(task.values["student, liked"] - task.values["student alone"])
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Other tasks" in page
    assert "student, liked" in page
    run = Run(load_recipe(recipe), tmp_path / "run")
    run.results()
    assert all(stage.cached for stage in run.stages.finished)


def test_the_student_may_be_for_one_of_the_tasks(recipe: Path, tmp_path: Path) -> None:
    settings = (
        "student.task=liked",
        "student.distilled.tasks={}",
        "student.distilled.objectives=[cross-entropy, {type: soft-labels, teacher: liking}]",
        "seeds=[0]",
        "teachers.0.task=bad",
    )
    run = Run(load_recipe(recipe, settings), tmp_path / "run")
    assert run.split.method.endswith("ratings from 4")
    assert run.recipe.main_teacher() == "liking"
    plain = Run(load_recipe(recipe), tmp_path / "run")
    assert plain.trained("alone", 0).key != run.trained("alone", 0).key
    assert plain.data.key == run.data.key  # read once, seen twice
    assert plain.baselines.key != run.baselines.key


def test_what_a_task_means_is_in_the_keys_of_what_reads_it(recipe: Path, tmp_path: Path) -> None:
    def keys(*settings: str) -> dict[str, str]:
        run = Run(load_recipe(recipe, ("seeds=[0]", *settings)), tmp_path / "run")
        return {stage.name: stage.key for stage in (*run.taught, run.trained("alone", 0), run.trained("distilled", 0))}

    plain, other, unused = keys(), keys("tasks.liked.min_rating=3"), keys("tasks.bad.min_rating=1")
    assert {name for name in plain if plain[name] != other[name]} == {"teach/liking", "train/distilled"}
    assert plain == unused


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("teachers.1.task=like", "no task is called 'like'; did you mean 'liked'"),
        ("student.distilled.tasks={likes: {objectives: [cross-entropy]}}", "no task is called 'likes'"),
        ("student.task=liked", "'linear' teaches task 'liked'|'liked' is the student's own task; put its terms under"),
        ("teachers.1.task=bad", "'liking' teaches task 'bad', this is about task 'liked'; name a teacher of the same"),
        ("teachers.1.task=null", "'liking' teaches all events, this is about task 'liked'"),
        ("student.distilled.objectives.1.teacher=liking", "'liking' teaches task 'liked', this is about all events"),
        ("student.distilled.tasks.liked.labels={min_rating: 3}", "a recipe's tasks say what counts"),
        ("student.alone.tasks={liked: {objectives: [{type: soft-labels, teacher: liking}]}}", "student without one"),
        (
            "student.distilled.tasks.liked.objectives=[{type: soft-labels, teacher: likign}]",
            "no teacher is called 'likign'",
        ),
        ("tasks.liked={min_rtaing: 3}", "unknown parameter 'min_rtaing' of task; did you mean 'min_rating'"),
    ],
)
def test_misuse_is_one_line(recipe: Path, setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(recipe, (setting,))


def test_an_encoder_has_no_task(recipe: Path) -> None:
    with pytest.raises(ConfigError, match="a text-encoder is about items, for whatever task; remove it"):
        load_recipe(recipe, ("teachers=[{id: text, type: text-encoder, task: liked}]",))
