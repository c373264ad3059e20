"""A language model in a recipe: real weights behind a real server, from the estimate to the student."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import pytest

from recdistill.errors import RunError
from recdistill.evaluation.audited import Audited
from recdistill.files import read_json
from recdistill.knowledge import Knowledge
from recdistill.recipes import Recipe, load_recipe, run_recipe
from recdistill.recipes.audit import STUDENT, audits
from recdistill.recipes.estimate import forecasts

from ..llm_server import LLMServer, answers, letters
from ..movies import write_movies

pytest.importorskip("xllamacpp")

RECIPE = """\
title: asking
data: {log: ratings.csv, items: movies.csv}
teachers:
  - id: small
    type: llm
    parameters:
      task:
        type: listwise
        contexts: 6
        history: 4
        candidates: {type: recommender, n: 5}
      backend: {type: gguf, threads: 1}
      budget: {requests: 500}
student:
  model: {type: sasrec, dim: 8, blocks: 1}
  alone: {objectives: [cross-entropy], training: {epochs: 1}}
  distilled: {objectives: [cross-entropy, {type: soft-labels, teacher: small}], training: {epochs: 1}}
seeds: [0]
evaluate: {baselines: [popularity], examples: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("asking")
    write_movies(place)
    (place / "asking.yaml").write_text(RECIPE, encoding="utf-8")
    return place


def recipe(folder: Path, *changes: str) -> Recipe:
    return load_recipe(folder / "asking.yaml", changes)


def at(server: LLMServer) -> str:
    return f"teachers.0.parameters.backend={{type: endpoint, url: '{server.url}'}}"


def test_estimated_audited_and_distilled_with_real_weights(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (forecast,) = forecasts(recipe(folder), run, sample=3)
    assert (forecast.estimate.questions, forecast.estimate.settled, forecast.estimate.left) == (6, 3, 3)
    assert forecast.budget == "500 requests: enough for what is left"
    spent, needed = forecast.estimate.spent.sent, forecast.estimate.requests
    assert spent >= 3 <= needed
    for requests, words in ((spent + needed, "enough"), (spent + needed - 1, "not enough")):
        limit = f"teachers.0.parameters.budget.requests={requests}"
        (same,) = forecasts(recipe(folder, limit), run, sample=0)
        assert same.budget is not None
        assert same.budget.startswith(f"{requests} requests: {words} ")
    assert forecast.estimate.capabilities.top_logprobs >= 5
    (audited,) = audits(recipe(folder), run, contexts=4, orders=2, lists="random")
    assert audited.counts == {"answered": 4 * 2 + 4}
    assert {other.name for other in audited.found.beside} == {"popularity", "item-knn", STUDENT}
    assert audited.found.coverage == 1.0
    assert json.loads((run / "audit" / "small.json").read_text())["verdict"] == audited.verdict
    assert audited.terms == ("student.distilled.objectives.1.weight",)
    assert Audited.of_run(run) == (audited,)
    run_recipe(recipe(folder), run)
    assert audited.verdict in html.unescape((run / "report.html").read_text(encoding="utf-8"))
    (again,) = audits(recipe(folder), run, contexts=3, orders=2, lists="random")
    page = html.unescape((run / "report.html").read_text(encoding="utf-8"))
    assert f"small: {again.verdict}" in page
    assert again.verdict.startswith("Too few contexts to tell: ")
    assert again.found.earned == 0.0
    assert "--set student.distilled.objectives.1.weight=0.00" in page or "none that it has earned" in page
    (run / "audit" / "small.json").write_text("{}")
    with pytest.raises(RunError, match=r"small.json: teacher: Field required; audit again"):
        Audited.of_run(run)
    assert "What the language models were asked" in page
    assert "6 (100 %)" in page.replace("\N{NO-BREAK SPACE}", " ")
    (stage,) = (run / "stages" / "teach" / "small").glob("*/done.json")
    info = read_json(stage)["info"]
    assert info["questions"] == {"answered": 6}
    assert info["possibly_paid_twice"] == 0
    (store,) = Knowledge.open(stage.parent).rankings("small")
    assert store.manifest.extra["answers"] == 6
    assert (run / "report.html").is_file()


def test_the_run_pays_for_the_rest_only(folder: Path, tmp_path: Path) -> None:
    asked: list[Any] = []
    with answers(lambda a: letters({letter: -float(n) for n, letter in enumerate("ABCDE")})) as server:
        here = recipe(folder, at(server))
        (forecast,) = forecasts(here, tmp_path / "run", sample=4)
        asked = server.asked
        assert (forecast.estimate.sampled, len(asked)) == (4, 4)
        run_recipe(here, tmp_path / "run")
        assert len(asked) == 6
        run_recipe(recipe(folder, at(server), "student.distilled.training={epochs: 2}"), tmp_path / "run")
        assert len(asked) == 6


def test_candidates_of_a_teacher_that_is_not_taught_yet(folder: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("teachers:\n", "teachers:\n  - {id: big, type: recommender, model: {type: item-knn}, k: 8}\n")
    text = text.replace("{type: recommender, n: 5}", "{type: teacher, teacher: big, n: 5}")
    (tmp_path / "asking.yaml").write_text(
        text.replace("ratings.csv", str(folder / "ratings.csv")).replace("movies.csv", str(folder / "movies.csv")),
        encoding="utf-8",
    )
    with answers(lambda a: letters({"A": -0.1, "B": -2.0, "C": -3.0, "D": -4.0, "E": -5.0})) as server:
        here = load_recipe(tmp_path / "asking.yaml", (at(server).replace("teachers.0", "teachers.1"),))
        (forecast,) = forecasts(here, tmp_path / "run", sample=2)
        assert forecast.notes[0].startswith("big has not been taught yet")
        (audited,) = audits(here, tmp_path / "run", contexts=10, student=False)
        assert not audited.drawn  # stored rankings know training positions only
        assert audited.found.bias is not None
        assert audited.found.bias.place == 0
        (forecast,) = forecasts(here, tmp_path / "run", sample=2)
        assert forecast.notes == ()
