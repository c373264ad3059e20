"""A teacher of another shop, joined through what a real encoder makes of the texts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recdistill.errors import ConfigError
from recdistill.recipes import load_recipe, run_recipe
from recdistill.recipes.run import Run
from tests.domains import write_shop

RECIPE = """\
title: films
data: {log: film.csv, items: film-items.csv, text: "{title}"}
teachers:
  - {id: texts, type: text-encoder}
  - id: books
    type: recommender
    model: {type: sasrec, dim: 32, blocks: 1, max_length: 8, dropout: 0.0, text: texts, fusion: text-only}
    source: {log: book.csv, items: book-items.csv, text: "{title}"}
    training: &few {epochs: 12, batch: 128, lr: 0.005, warmup: 5}
    k: 20
student:
  model: {type: sasrec, dim: 8, blocks: 1, max_length: 8}
  alone: {objectives: [cross-entropy], training: &short {epochs: 3, batch: 128, lr: 0.005, warmup: 5}}
  distilled:
    objectives: [cross-entropy, {type: soft-labels, teacher: books}]
    training: *short
evaluate: {baselines: [popularity], examples: 1}
"""


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shops")
    write_shop(folder, "book", n_users=120, copies=5, seed=0)
    write_shop(folder, "film", n_users=40, copies=6, seed=1)
    (folder / "films.yaml").write_text(RECIPE, encoding="utf-8")
    return folder


def test_what_was_learned_about_books_helps_with_films(shops: Path, tmp_path: Path) -> None:
    shutil.copytree(shops, tmp_path / "shops")
    recipe = tmp_path / "shops" / "films.yaml"
    data = run_recipe(load_recipe(recipe), tmp_path / "run")
    ndcg = {row.role: row.metrics["NDCG@10"] for row in data.rows}
    assert ndcg["teacher"] > 1.5 * ndcg["baseline"]  # it has not seen one event of a film
    assert ndcg["distilled"] > ndcg["alone"]
    run = Run(load_recipe(recipe), tmp_path / "run")
    run.results()
    assert all(stage.cached for stage in run.stages.finished)
    with (recipe.parent / "book.csv").open("a", encoding="utf-8") as log:
        log.write("booklover0,book1x1,1700000000\n")
    again = Run(load_recipe(recipe), tmp_path / "run")
    assert {stage.name: stage.cached for stage in again.taught} == {"teach/texts": True, "teach/books": False}
    assert not (again.taught[1].path / "source-texts").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "teachers.1.model.fusion=sum",
            "free item vectors knows nothing about other items; use sasrec, hstu or gru4rec",
        ),
        ("teachers.1.folds=2", "means nothing to a teacher trained on other data; remove it"),
        ("teachers.1.source.lgo=x.csv", "unknown parameter 'lgo' of source; did you mean 'log'"),
        ("teachers.0.source={log: book.csv}", "means nothing to a teacher of type text-encoder"),
    ],
)
def test_misuse_is_one_line(shops: Path, setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(shops / "films.yaml", (setting,))
