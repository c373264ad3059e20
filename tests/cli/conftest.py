"""Commands run in this process, in a folder of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recdistill.cli.app import app

from ..movies import write_movies

Invoke = Callable[..., Any]

RECIPE = """\
title: films
data:
  log: ratings.csv
  items: movies.csv
teachers:
  - id: large
    type: recommender
    model: {type: sasrec, dim: 16, blocks: 1}
    training: {epochs: 2}
    k: 10
student:
  model: {type: sasrec, dim: 8, blocks: 1}
  alone:
    objectives: [cross-entropy]
    training: {epochs: 2}
  distilled:
    objectives:
      - {type: soft-labels, teacher: large}
    training: {epochs: 2}
evaluate: {baselines: [popularity], examples: 2}
"""
"""Line 16 is ``objectives`` of the distilled student."""


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``ratings.csv``, ``movies.csv`` and ``films.yaml``; not to be changed."""
    folder = tmp_path_factory.mktemp("films")
    write_movies(folder)
    (folder / "films.yaml").write_text(RECIPE, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _quiet_logging() -> Iterator[None]:
    """Commands set up the library's logger; other tests must not see that."""
    log = logging.getLogger("recdistill")
    before = log.handlers[:], log.level, log.propagate
    yield
    log.handlers[:], log.propagate = before[0], before[2]
    log.setLevel(before[1])


@pytest.fixture
def here(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a copy of the files, free to be changed."""
    for file in films.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECDISTILL_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def call(here: Path) -> Invoke:
    """Run a command; the result has ``exit_code``, ``stdout`` and ``stderr``."""

    def run(*arguments: str | Path) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="recdistill")

    return run


@pytest.fixture(scope="session")
def finished(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with everything in it; not to be changed."""
    import torch

    from recdistill.recipes import load_recipe, run_recipe

    torch.set_num_threads(1)
    directory = tmp_path_factory.mktemp("runs") / "films"
    run_recipe(load_recipe(films / "films.yaml"), directory)
    return directory
