"""A teacher from files, and a student of closed form: the least that a run can do."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from recdistill.errors import KnowledgeError
from recdistill.knowledge import Knowledge
from recdistill.recipes import load_recipe, run_recipe
from recdistill.recipes.run import Run

RECIPE = """\
title: told
data: {log: ratings.csv, items: movies.csv}
teachers:
  - id: theirs
    type: imported
    parameters: {predictions: told.csv}
  - id: vectors
    type: imported
    parameters: {embeddings: vectors.parquet}
student:
  model: item-knn
  alone: {objectives: [cross-entropy]}
  distilled: {objectives: [cross-entropy]}
evaluate: {k: [5], metric: mrr@5, baselines: [], examples: 1}
"""


@pytest.fixture
def told(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``told.yaml`` with its files in another folder than the working directory."""
    folder = tmp_path / "told"
    folder.mkdir()
    for name in ("ratings.csv", "movies.csv"):
        shutil.copy(films / name, folder)
    users = pl.read_csv(films / "ratings.csv")["userId"].unique(maintain_order=True)
    items = pl.read_csv(films / "ratings.csv")["movieId"].unique(maintain_order=True)
    pl.DataFrame({"user": users, "item": items[0], "score": 1.0}).write_csv(folder / "told.csv")
    pl.DataFrame({"item": items.cast(pl.String), "a": 1.0, "b": 0.5}).write_parquet(folder / "vectors.parquet")
    (folder / "told.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def keys(folder: Path, *overrides: str) -> dict[str, str]:
    """Key of each teacher's stage, which is done."""
    run = Run(load_recipe(folder / "told.yaml", overrides), folder / "run")
    return {stage.name: stage.key for stage in run.taught}


def test_files_start_from_the_recipe_and_their_content_counts(told: Path) -> None:
    first = keys(told)
    assert keys(told) == first
    other = keys(told, "data.split=per-user-ratio")  # predictions are for the positions of one split
    assert other["teach/theirs"] != first["teach/theirs"]
    assert other["teach/vectors"] == first["teach/vectors"]
    lists = pl.read_csv(told / "told.csv")
    lists.with_columns(item=lists["item"].max()).with_columns(score=2.0).write_csv(told / "told.csv")
    edited = keys(told)
    assert edited["teach/theirs"] != first["teach/theirs"]
    assert edited["teach/vectors"] == first["teach/vectors"]


def test_a_store_that_is_gone_is_made_again(told: Path) -> None:
    stage = Run(load_recipe(told / "told.yaml"), told / "run").taught[0]
    before = Knowledge.open(stage.path).digest()
    shard = next((stage.path / "rankings").glob("*.arrow"))
    shard.write_bytes(shard.read_bytes()[:-8])
    with pytest.raises(KnowledgeError, match=f"remove the whole directory {stage.path / 'rankings'}"):
        Knowledge.open(stage.path)
    shutil.rmtree(stage.path / "rankings")  # as the message says
    again = Run(load_recipe(told / "told.yaml"), told / "run").taught[0]
    assert (again.key, again.cached) == (stage.key, False)
    assert Knowledge.open(again.path).digest() == before


def test_a_student_of_closed_form_and_few_cutoffs(told: Path) -> None:
    found = run_recipe(load_recipe(told / "told.yaml"), told / "run")
    assert found.metric == "MRR@5"
    by_role = {row.role: row for row in found.rows}
    assert by_role["distilled"].metrics["MRR@5"] == by_role["alone"].metrics["MRR@5"] > 0
    assert "MRR@5" in by_role["distilled"].intervals
    assert found.curves == ()
    assert "student distilled" in (told / "run" / "report.html").read_text(encoding="utf-8")
