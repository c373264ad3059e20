"""A recipe whose language model is asked in rounds: a real server, real students, a real kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from recdistill.errors import ConfigError
from recdistill.files import read_json
from recdistill.knowledge import Knowledge
from recdistill.recipes import load_recipe, run_recipe
from recdistill.recipes.estimate import forecasts
from recdistill.reports import ReportData

from ..llm_server import Answer, Asked, LLMServer, answers, letters
from ..movies import write_movies

_PATIENCE = 1800
"""Seconds that a busy machine may take to start a process."""
RECIPE = """\
title: rounds
data: {log: ratings.csv, items: movies.csv}
teachers:
  - {id: knn, type: recommender, model: {type: item-knn}, k: 20}
  - id: llm
    type: llm
    parameters:
      task: {type: listwise, contexts: 40, candidates: {type: recommender, n: 5}}
      backend: {type: endpoint, url: "URL", pace: {start: 2, most: 2}}
      prices: {input: 1000}
      select: {by: {type: diversity, among: disagreement}, against: knn, rounds: 2, per_round: 6, on_policy: true}
student:
  model: {type: sasrec, dim: 8, blocks: 1}
  alone: {objectives: [cross-entropy], training: {epochs: 1}}
  distilled: {objectives: [cross-entropy, {type: soft-labels, teacher: llm}], training: {epochs: 2}}
seeds: [0]
evaluate: {baselines: [popularity], examples: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("rounds")
    write_movies(place)
    return place


def likes(asked: Asked) -> Answer:
    """The letters in their order."""
    return letters({letter: -float(n) for n, letter in enumerate("ABCDE")})


def written(folder: Path, server: LLMServer, *changes: tuple[str, str]) -> Path:
    text = RECIPE.replace("URL", server.url)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "rounds.yaml").write_text(text, encoding="utf-8")
    return folder / "rounds.yaml"


def facts(run: Path) -> dict[str, Any]:
    (done,) = (run / "stages" / "teach" / "llm").glob("*/done.json")
    found: dict[str, Any] = read_json(done)["info"]
    return found


def test_from_the_recipe_to_the_report(folder: Path, tmp_path: Path) -> None:
    with answers(likes) as server:
        recipe = load_recipe(written(folder, server))
        (forecast,) = forecasts(recipe, tmp_path, sample=0)
        assert (forecast.estimate.questions, len(forecast.notes)) == (12, 1)
        data = run_recipe(recipe, tmp_path)
        asked = len(server.asked)
        assert asked == 12
        run_recipe(load_recipe(written(folder, server, ("{epochs: 2}", "{epochs: 2, patience: 1}"))), tmp_path / "b")
    info = facts(tmp_path)
    assert [r["candidates"] for r in info["rounds"]] == ["recommender", "student"]
    assert info["alone"] is not None
    (told,) = data.rounds
    assert (told.teacher, told.ended) == ("llm", "2 rounds were wanted")
    assert [r.contexts for r in told.rounds] == [6, 6]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "What each round of asking brought" in page
    assert ReportData.read(tmp_path / "results.json").rounds == data.rounds


def test_kill_9_in_the_middle_costs_nothing(folder: Path, tmp_path: Path) -> None:
    def slowly(asked: Asked) -> Answer:
        answer = likes(asked)
        return Answer(answer.body, delay=0.05)

    run = tmp_path / "run"
    with answers(slowly) as server:
        start = "from recdistill.cli import main; main()"
        command = [sys.executable, "-c", start, "run", str(written(folder, server)), "--out", str(run)]
        for round_ in (1, 2):
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
                try:
                    _until(lambda round_=round_: len([*run.rglob("choice.json")]) == round_, child)
                    before = len(server.asked)
                    _until(lambda before=before: len(server.asked) >= before + 2, child)
                finally:
                    child.send_signal(signal.SIGKILL)
        choices = {file: file.read_bytes() for file in run.rglob("choice.json")}
        assert len(choices) == 2
        recipe = load_recipe(written(folder, server))
        run_recipe(recipe, run)
        assert all(file.read_bytes() == text for file, text in choices.items())
        repeated = sum(asked.twin > 0 for asked in server.asked)
        again = facts(run)
        assert repeated <= again["possibly_paid_twice"] <= 4  # two were with the server at each kill
        run_recipe(recipe, tmp_path / "whole")
    stages = [next((place / "stages" / "teach" / "llm").glob("*/rankings")) for place in (run, tmp_path / "whole")]
    one, other = (Knowledge.open(stage).rankings("llm")[0].manifest for stage in stages)
    assert one == other
    assert facts(tmp_path / "whole")["rounds"] == again["rounds"]


def _until(there: Any, child: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not there():
        assert child.poll() is None, child.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("by: {type: diversity, among: disagreement}", "by: diversty", "no selectors component is called 'diversty'"),
        ("against: knn", "against: knm", "no teacher above is called 'knm'"),
        ("distilled: {", "distilled: {live: [{type: mean-teacher, id: ema}], ", "rounds train the student by stored"),
        ("teacher: llm}]", "teacher: late}]", "the student distilled reads 'late', who is taught after 'llm'"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_asked(folder: Path, old: str, new: str, message: str) -> None:
    with answers(likes) as server:
        late = ("student:\n", "  - {id: late, type: recommender, model: {type: item-knn}}\nstudent:\n")
        with pytest.raises(ConfigError, match=message):
            load_recipe(written(folder, server, (old, new), late))
        assert json.dumps(server.asked) == "[]"
