"""A recommender may learn from the teachers above it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recdistill.errors import ConfigError
from recdistill.knowledge import Knowledge
from recdistill.recipes import load_recipe
from recdistill.recipes.run import Run

RECIPE = """\
title: chain
data:
  log: ratings.csv
  split: {type: per-user-ratio, valid: 0.2, test: 0.2}
teachers:
  - {id: linear, type: recommender, model: {type: slist, l2: 10}, k: 20}
  - {id: other, type: recommender, model: popularity, k: 5}
  - id: assistant
    type: recommender
    model: &small {type: fism, dim: 8}
    objectives: [{type: soft-labels, teacher: linear, temperature: 1.0}]
    training: &quick {epochs: 12, lr: 0.02, batch: 32}
    k: 10
  - {id: alone, type: recommender, model: *small, training: *quick, k: 10}
student:
  model: *small
  alone: {objectives: [cross-entropy], training: {epochs: 1}}
  distilled:
    objectives: [cross-entropy, {type: soft-labels, teacher: assistant}]
    training: {epochs: 1}
"""


@pytest.fixture(scope="module")
def chain(films: Path) -> Path:
    (films / "chain.yaml").write_text(RECIPE, encoding="utf-8")
    return films / "chain.yaml"


def test_an_assistant_learns_from_the_teacher_before_it(chain: Path, tmp_path: Path) -> None:
    run = Run(load_recipe(chain), tmp_path / "run")
    known = Knowledge(()).stores
    for stage in run.taught:
        known += Knowledge.open(stage.path).stores
    places = np.arange(run.split.train.n_events)
    tops = {t: Knowledge(known).rankings(t)[0].read(places).items[:, :5] for t in ("linear", "assistant", "alone")}
    shared = {
        t: np.mean([len(set(a) & set(b) - {-1}) for a, b in zip(tops[t], tops["linear"], strict=True)])
        for t in ("assistant", "alone")
    }
    assert shared["assistant"] > shared["alone"] + 0.5


def test_what_a_link_reads_is_in_its_key_and_nothing_else(chain: Path, tmp_path: Path) -> None:
    def keys(*settings: str) -> dict[str, str]:
        run = Run(load_recipe(chain, ("teachers.2.training.epochs=1", *settings)), tmp_path / "run")
        return {stage.name: stage.key for stage in (*run.taught, run.trained("distilled", 0))}

    plain, other, first = keys(), keys("teachers.1.k=6"), keys("teachers.0.k=10")
    assert {name for name in plain if plain[name] != other[name]} == {"teach/other"}
    changed = {name for name in plain if plain[name] != first[name]}
    assert changed == {"teach/linear", "teach/assistant", "train/distilled"}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("teachers.2.objectives.0.teacher=alone", r"no teacher above is called 'alone'"),
        ("teachers.2.objectives.0.teacher=linaer", r"no teacher above is called 'linaer'; did you mean 'linear'"),
        ("teachers.0.objectives=[soft-labels]", r"soft-labels needs a teacher above; put one before it"),
        ("teachers.2.folds=2", r"fold models are fitted without some users.*; remove folds"),
    ],
)
def test_misuse_is_one_line(chain: Path, setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(chain, (setting,))
