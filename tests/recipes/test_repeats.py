"""People who come back to the same items: lists with repeats are asked for in one place and measured everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from recdistill.errors import ConfigError
from recdistill.recipes import load_recipe, run_recipe

RECIPE = """\
title: again
data: {log: visits.csv}
teachers:
  - {id: near, type: recommender, model: {type: item-knn}}
student:
  model: {type: fism, dim: 4}
  alone:
    objectives: [cross-entropy]
    training: &few {epochs: 1, exclude_history: false}
  distilled:
    objectives: [cross-entropy, {type: soft-labels, teacher: near}]
    training: *few
evaluate: {baselines: [popularity, item-knn], examples: 1}
bundle: {showcase: 0}
"""


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    """Everyone goes round and round among three of thirty places, so that what comes next was there before; only the
    last but one step of a few leads elsewhere."""
    rows = [
        f"u{user},p{(3 * user + (7 if user < 5 and step == 7 else step % 3)) % 30},{step}"
        for user in range(40)
        for step in range(9)
    ]
    (tmp_path / "visits.csv").write_text("\n".join(["user,item,time", *rows]), encoding="utf-8")
    (tmp_path / "again.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def test_repeats_reach_baselines_and_the_test_part(visits: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = run_recipe(load_recipe(visits / "again.yaml"), visits / "run")
    found = {row.name: row.metrics["HR@10"] for row in data.rows}
    assert found["item-knn (tuned)"] > 0.9  # whoever may name the last three places again is right
    assert found["near"] > 0.9
    assert "count as missed" not in caplog.text
    changes = tuple(f"student.{arm}.training.exclude_history=true" for arm in ("alone", "distilled"))
    data = run_recipe(load_recipe(visits / "again.yaml", changes), visits / "run")
    assert {row.metrics["HR@10"] for row in data.rows} == {0.0}
    assert "count as missed" in caplog.text


def test_all_trainings_are_measured_alike(visits: Path) -> None:
    one = RECIPE.replace("training: *few", "training: {epochs: 1}")
    (visits / "again.yaml").write_text(one, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"distilled\.training\.exclude_history: all trainings are measured"):
        load_recipe(visits / "again.yaml")
