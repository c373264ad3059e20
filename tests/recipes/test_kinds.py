"""A term whose teacher will not leave what it reads is refused before anybody is taught."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from recdistill.errors import ConfigError
from recdistill.models import MODELS
from recdistill.objectives import OBJECTIVES
from recdistill.recipes import Recipe, load_recipe
from recdistill.recipes.kinds import OF_ITEMS, OF_USERS, RANKINGS, WEIGHTS
from recdistill.teachers import TEACHERS

RECIPE = """\
title: kinds
data: {log: ratings.csv}
teachers:
  - {id: text, type: text-encoder}
  - {id: knn, type: recommender, model: item-knn}
  - {id: large, type: recommender, model: {type: sasrec, dim: 8}}
  - {id: both, type: ensemble, members: [knn, large]}
student:
  model: {type: sasrec, dim: 4}
  alone: {objectives: [cross-entropy]}
  distilled: {objectives: [cross-entropy, soft-labels]}
"""


def recipe(tmp_path: Path, *terms: Any, **student: Any) -> Recipe:
    values = yaml.safe_load(RECIPE)
    values["student"]["distilled"]["objectives"] = list(terms)
    values["student"] |= student
    (tmp_path / "kinds.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return load_recipe(tmp_path / "kinds.yaml")


@pytest.mark.parametrize(
    ("term", "says"),
    [
        ({"type": "embedding-hint", "teacher": "knn"}, "embedding-hint reads item embeddings or weights, and 'knn' "
         "leaves nothing (label: false); name one that does: text, large"),
        ({"type": "de", "teacher": "text"}, "de reads user embeddings, and 'text' leaves item embeddings"),
        ({"type": "rrd", "teacher": "text"}, "name one that does: both"),
        ({"type": "start-from-layers", "teacher": "both"}, "and 'both' leaves rankings; name one that does: large"),
        ({"type": "start-from", "teacher": "knn", "kind": "embeddings"}, "name one that does: text"),
    ],
)  # fmt: skip
def test_what_the_teacher_will_not_leave(tmp_path: Path, term: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        recipe(tmp_path, "cross-entropy", term)
    assert says in str(error.value)
    assert "student.distilled.objectives.1" in str(error.value)


def test_what_nobody_leaves(tmp_path: Path) -> None:
    values = yaml.safe_load(RECIPE)
    values["teachers"] = values["teachers"][1:2]
    values["student"]["distilled"]["objectives"] = ["cross-entropy", "ftd"]
    (tmp_path / "kinds.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"which no teacher leaves; add a recommender with vectors"):
        load_recipe(tmp_path / "kinds.yaml")


def test_rankings_that_a_term_names_are_stored(tmp_path: Path) -> None:
    named = recipe(
        tmp_path, "cross-entropy", {"type": "rrd", "teacher": "knn"}, {"type": "start-from", "teacher": "large"}
    )
    assert [named.labels(teacher) for teacher in named.teachers] == [False, True, False, True]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("texts", "no teacher above is called 'texts'; did you mean 'text'?"),
        ("knn", "'knn' is a recommender and embeds"),
    ],
)
def test_the_text_inside_a_model(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        recipe(tmp_path, "cross-entropy", "soft-labels", model={"type": "sasrec", "dim": 4, "text": text})
    assert f"student.model.text: {says}" in str(error.value)


def test_weights_that_are_all_zero(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"student.distilled.objectives: all weights are 0 at all times"):
        recipe(
            tmp_path, {"type": "cross-entropy", "weight": 0}, {"type": "soft-labels", "teacher": "both", "weight": 0}
        )


def test_every_objective_that_is_taught_says_what_it_reads() -> None:
    known = {RANKINGS, WEIGHTS, OF_ITEMS, OF_USERS}
    for component in OBJECTIVES.values():
        config = component.load()()
        assert bool(config.reads) == config.is_taught, component.name
        assert known.issuperset(config.reads)


def test_every_model_and_encoder_says_what_it_leaves() -> None:
    assert all(component.load().has_vectors is not None for component in MODELS.values())
    for name in ("text-encoder", "llm-encoder", "user-profiles"):
        assert OF_ITEMS in TEACHERS[name].load().leaves
