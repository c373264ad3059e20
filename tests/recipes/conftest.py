"""A recipe that uses every kind of teacher that needs no encoder, on a few films."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..movies import write_movies

RECIPE = """\
title: films
data:
  log: ratings.csv
  items: movies.csv
  split: {type: per-user-ratio, valid: 0.2, test: 0.2}
teachers:
  - id: linear
    type: recommender
    model: {type: slist, l2: 10}
    folds: 2
  - id: large
    type: recommender
    model: {type: fism, dim: 16}
    training: {epochs: 2}
  - id: both
    type: ensemble
    members: [linear, large]
    k: 10
student:
  model: {type: fism, dim: 4}
  alone:
    objectives: [cross-entropy]
    training: {epochs: 2}
  distilled:
    objectives:
      - {type: cross-entropy, weight: 0.5}
      - {type: soft-labels, teacher: both, temperature: 1.0}
      - {type: start-from, teacher: large}
    training: {epochs: 2}
  ablations:
    start-only:
      objectives: [cross-entropy, {type: start-from, teacher: large}]
      parameters: {dropout: 0.1}
      training: {epochs: 1}
seeds: [0, 1]
evaluate: {baselines: [popularity, item-knn], examples: 2}
"""


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files and ``films.yaml``; not to be changed."""
    folder = tmp_path_factory.mktemp("recipe-films")
    write_movies(folder)
    (folder / "films.yaml").write_text(RECIPE, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
