"""A recipe is checked as a whole, and every complaint has file, line and the nearest known key."""

from __future__ import annotations

from pathlib import Path

import pytest

from recdistill.errors import ConfigError, RecdistillError
from recdistill.objectives import SoftLabels
from recdistill.recipes.load import load_recipe, parse_recipe
from recdistill.recipes.schema import TrainSpec

from .conftest import RECIPE

PATH = Path("films.yaml")


def complaint(text: str, *overrides: str) -> str:
    with pytest.raises(RecdistillError) as caught:
        parse_recipe(text, PATH, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_good_recipe_and_its_defaults() -> None:
    recipe = parse_recipe(RECIPE, PATH)
    assert [teacher.id for teacher in recipe.teachers] == ["linear", "large", "both"]
    assert recipe.main_teacher() == "both"
    assert [recipe.labels(teacher) for teacher in recipe.teachers] == [False, False, True]
    assert recipe.student.distilled.objectives[0].weight.start == 0.5
    assert recipe.bundle.vectors == "int8"
    assert list(recipe.student.trainings) == ["alone", "distilled", "start-only"]


def test_the_report_compares_with_the_teacher_that_taught() -> None:
    recipe = parse_recipe(RECIPE, PATH)
    objectives = [SoftLabels(teacher="large")]
    distilled = recipe.student.distilled.replace(objectives=objectives)
    assert recipe.replace(student=recipe.student.replace(distilled=distilled)).main_teacher() == "large"


def test_a_recipe_needs_no_ablation() -> None:
    start, end = RECIPE.index("  ablations:"), RECIPE.index("seeds:")
    assert parse_recipe(RECIPE[:start] + RECIPE[end:], PATH).student.ablations == {}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("dim: 4", "dims: 4", ("films.yaml:20", "student.model.dims", "did you mean 'dim'?")),
        ("dim: 4", "dim: four", ("films.yaml:20", "student.model.dim", "four")),
        ("dim: 4", "dim: 0", ("films.yaml:20", "greater than or equal to 1")),
        ("type: fism, dim: 4", "type: fisn", ("films.yaml:20", "did you mean 'fism'?")),
        ("[linear, large]", "[linear, larg]", ("films.yaml:17", "'larg'", "did you mean 'large'?")),
        ("teacher: both", "teacher: bath", ("films.yaml:27", "did you mean 'both'?")),
        ("id: large", "id: linear", ("films.yaml:11", "two teachers")),
        ("    members: [linear, large]\n", "", ("films.yaml:15", "members go with type: ensemble")),
        ("type: ensemble", "type: ensembel", ("did you mean 'ensemble'?",)),
        ("seeds: [0, 1]", "seeds: [1, 1]", ("films.yaml:35", "twice")),
        ("seeds: [0, 1]", "seeds: []", ("films.yaml:35", "seeds")),
        ("title: films", "title: a/b", ("films.yaml:1", "title")),
        ("title: films", "title: films\ntitle: again", ("films.yaml:2", "stands twice")),
        ("seeds: [0, 1]", "sedes: [0, 1]", ("films.yaml:35", "did you mean 'seeds'?")),
        ("weight: 0.5", "weight: {shape: decay}", ("films.yaml:26", "decay", "above 0")),
        ("objectives: [cross-entropy]", "objectives: []", ("films.yaml:22", "objectives")),
        ("objectives: [cross-entropy]", "objectives: [{weight: 1}]", ("type is missing",)),
        ("title: films", "title: [", ("films.yaml", "not valid YAML")),
        ("start-only:", "a/b:", ("films.yaml:31: student.ablations.a/b", "cannot be called 'a/b'", "llm-only")),
        ("start-only:", "distilled:", ("films.yaml:31", "called 'distilled' already")),
        ("start-from, teacher: large}]", "start-from, teacher: larg}]", ("films.yaml:32", "did you mean 'large'?")),
        ("dropout: 0.1", "dim: 8", ("films.yaml:33: student.ablations.start-only.parameters.dim", "of one size")),
        ("dropout: 0.1", "dropuot: 0.1", ("films.yaml:33", "did you mean 'dropout'?")),
        ("seeds: [0, 1]", "seeds: [-1]", ("films.yaml:35", "greater than or equal to 0")),
        (
            "members: [linear",
            "parameters: {metrc: x}\n    members: [linear",
            ("films.yaml:17", "did you mean 'metric'?"),
        ),
        (
            "    model: {type: slist",
            "    parameters: {l2: 1}\n    model: {type: slist",
            ("films.yaml:9: teachers.0.parameters: means nothing", "under model"),
        ),
        ("k: 10", "folds: 2", ("films.yaml:18: teachers.2.folds", "means nothing", "type ensemble")),
        ("type: ensemble", "type: llm-encoder", ("films.yaml:17", "members go with")),
        (
            "  - id: both",
            "  - id: told\n    type: imported\n    k: 10\n    parameters: {embeddings: x.npy}\n  - id: both",
            ("films.yaml:17: teachers.2.k", "means nothing"),
        ),
        (
            "  - id: both",
            "  - id: text\n    type: text-encoder\n    parameters: {modle: minilm}\n  - id: both",
            ("films.yaml:17: teachers.2.parameters.modle", "did you mean 'model'?"),
        ),
        (
            "objectives: [cross-entropy]",
            "objectives: [cross-entropy, {type: soft-labels, teacher: both}]",
            ("films.yaml:22: student.alone.objectives.1", "soft-labels needs a teacher"),
        ),
        (
            "    training: {epochs: 2}\n  distilled",
            "    training: {epochs: 2, seed: 3}\n  distilled",
            ("films.yaml:23: student.alone.training.seed", "use seeds: at the top"),
        ),
        ("examples: 2", "metric: nope", ("films.yaml:36: evaluate.metric", "'nope' is not a metric")),
        ("examples: 2", "metric: ndgc@10", ("films.yaml:36: evaluate.metric", "did you mean 'ndcg'?")),
        ("examples: 2", "metric: ndcg@50", ("films.yaml:36: evaluate.metric", "largest cut-off, 20", "add 50 to k")),
        ("examples: 2", "metric: ndcg@10/tail", ("films.yaml:36: evaluate.metric", "of one slice only")),
        ("examples: 2", "k: [5]", ("films.yaml:36: evaluate.metric", "largest cut-off, 5")),
        ("examples: 2", "k: [0, 10]", ("films.yaml:36: evaluate.k", "greater than 0")),
        (
            "[cross-entropy, {type: start",
            "[cross-entrop, {type: start",
            ("films.yaml:32", "did you mean 'cross-entropy'?"),
        ),
    ],
)
def test_complaints_name_line_and_nearest_key(old: str, new: str, words: tuple[str, ...]) -> None:
    assert old in RECIPE
    said = complaint(RECIPE.replace(old, new, 1))
    for word in words:
        assert word in said


def test_a_list_is_no_recipe() -> None:
    assert "mapping" in complaint("- a\n- b\n")
    assert "mapping" in complaint("")


def test_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="recdistill init"):
        load_recipe(tmp_path / "none.yaml")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"x\.yaml: cannot be read"):
        load_recipe(tmp_path / "x.yaml")


def test_overrides_reach_into_lists_and_new_keys() -> None:
    recipe = parse_recipe(RECIPE, PATH, ("teachers.2.k=7", "bundle.vectors=float16", "seeds.1=5"))
    assert recipe.teachers[2].k == 7
    assert recipe.bundle.vectors == "float16"
    assert recipe.seeds == [0, 5]


@pytest.mark.parametrize("override", ["k", "=3", "teachers.9.k=1", "title.x=1", "teachers.x=1", "seeds=[1"])
def test_bad_overrides(override: str) -> None:
    assert complaint(RECIPE, override)


@pytest.mark.parametrize("one", ["auto", {"type": "auto", "minutes": 30}])
def test_a_single_objective_needs_no_list(one: object) -> None:
    (objective,) = TrainSpec(objectives=one).objectives
    assert objective.name == "auto"
    assert objective.model_dump()["minutes"] == (10 if one == "auto" else 30)
