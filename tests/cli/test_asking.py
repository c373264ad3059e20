"""The commands about language models."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..llm_server import LLMServer, answers, letters
from .conftest import RECIPE, Invoke

TEACHER = """\
  - id: asked
    type: llm
    parameters:
      task: {type: listwise, contexts: 8, candidates: {type: random, n: 4}}
      backend: {type: endpoint, url: URL}
      prices: {input: 1000, output: 1000, currency: EUR}
      budget: {money: 1000}
student:
"""


@pytest.fixture
def server(here: Path) -> Iterator[LLMServer]:
    """A model that always says A, and ``films.yaml`` with a teacher that asks it."""
    with answers(lambda asked: letters({"A": -0.01, "B": -5.0, "C": -6.0, "D": -7.0})) as found:
        text = RECIPE.replace("student:\n", TEACHER.replace("URL", found.url))
        (here / "films.yaml").write_text(text, encoding="utf-8")
        yield found


def test_estimate(call: Invoke, server: LLMServer) -> None:
    result = call("estimate", "films.yaml", "--sample", "3")
    assert result.exit_code == 0, result.stderr
    assert "asked: listwise by tiny" in result.stdout
    assert "8" in result.stdout
    assert "EUR (" in result.stdout
    assert "1000 EUR: enough for what is left" in result.stdout
    assert len(server.asked) == 3
    (found,) = json.loads(call("estimate", "films.yaml", "--sample", "3", "--json").stdout)
    assert found["estimate"]["settled"] == 6
    assert found["estimate"]["left"] == 2


def test_audit_names_the_bias(call: Invoke, server: LLMServer) -> None:
    result = call("audit", "films.yaml", "--contexts", "20", "--no-student")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("asked: Not")
    assert "position bias: the answer is A in 100 % of the lists and A has " in result.stdout
    assert "item-knn" in result.stdout
    assert "guessing" in result.stdout
    (found,) = json.loads(call("audit", "films.yaml", "--contexts", "20", "--no-student", "--json").stdout)
    assert found["found"]["bias"]["chosen"] == 1.0
    assert found["tokens"] == [0, 0]


def test_bad_input_is_one_line(call: Invoke, server: LLMServer, here: Path) -> None:
    result = call("audit", "films.yaml", "--lists", "randm")
    assert result.exit_code == 2
    assert "there are no lists 'randm'; did you mean 'random'" in result.stderr
    assert "Traceback" not in result.stderr
    server.close()
    result = call("estimate", "films.yaml")
    assert result.exit_code != 0
    assert "nobody answers there" in result.stderr
    assert "Traceback" not in result.stderr


def test_recipes_without_a_language_model(call: Invoke, here: Path) -> None:
    for command in ("estimate", "audit"):
        result = call(command, "films.yaml")
        assert result.exit_code == 0, result.stderr
        assert "no teacher of this recipe asks a language model" in result.stdout


def test_prompts_are_shown_word_for_word(call: Invoke) -> None:
    listed = call("prompts").stdout
    assert "listwise-letter" in listed
    assert "zh" in listed
    shown = call("prompts", "pairwise").stdout
    assert shown.startswith("version: 1\nabout: ")
    assert "A. {first}" in shown
    assert "两个" in call("prompts", "pairwise", "--language", "zh").stdout
    assert "did you mean 'pairwise'" in call("prompts", "pairwse").stderr
    assert "there are no prompts in 'de'" in call("prompts", "pairwise", "-l", "de").stderr


def test_a_shown_prompt_is_a_prompt(call: Invoke, here: Path) -> None:
    from recdistill.teachers.llm.prompts import load_prompt

    (here / "mine.txt").write_text(call("prompts", "listwise-order").stdout, encoding="utf-8")
    mine, ours = load_prompt("", file=here / "mine.txt"), load_prompt("listwise-order")
    assert (mine.system, mine.user, mine.again, mine.version) == (ours.system, ours.user, ours.again, ours.version)
    (here / "mine.txt").write_text(call("prompts", "likelihood", "-l", "zh").stdout, encoding="utf-8")
    mine, ours = load_prompt("", file=here / "mine.txt"), load_prompt("likelihood", "zh")
    assert (mine.system, mine.user, mine.without, mine.joined) == ("", ours.user, ours.without, ours.joined)
    assert ours.joined == "、"


def test_options_of_a_cluster_need_one(call: Invoke, here: Path) -> None:
    for option, value in (("--ray-address", "10.0.0.1:6379"), ("--ray-workers", "4")):
        for command in ("run", "train"):
            result = call(command, "films.yaml", option, value)
            assert result.exit_code == 2
            assert f"{option}: says where on a cluster; add --on ray" in result.stderr
    result = call("run", "films.yaml", "--on", "ray", "--ray-address", "ray://10.0.0.1:10001")
    assert "address: connect on a machine of the cluster, by HOST:PORT" in result.stderr
    assert call("run", "films.yaml", "--on", "moon").exit_code == 2


def test_without_ray_it_says_how_to_get_it(call: Invoke, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = call("run", "films.yaml", "--on", "ray")
    assert result.exit_code == 2
    assert "this needs the package 'ray', which is not installed; install it with: pip install 'recdistill[ray]'" in (
        result.stderr
    )


def test_journals_are_shown_and_made_small(call: Invoke, server: LLMServer) -> None:
    call("estimate", "films.yaml", "--sample", "4")
    shown = call("journal", "show", "runs/films")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.startswith("runs/films/stages/teach/asked/journal.sqlite")
    assert "4 answered" in shown.stdout
    assert "asked/listwise" in shown.stdout
    assert "4 requests, 40 tokens in, 8 out" in shown.stdout
    file = shown.stdout.splitlines()[0]
    assert "4 answers handed over" in call("journal", "compact", file).stdout
    assert "0 answers handed over" in call("journal", "compact", "runs/films").stdout
    (found,) = json.loads(call("estimate", "films.yaml", "--sample", "0", "--json").stdout)
    assert found["estimate"]["settled"] == 4
    result = call("journal", "show", "elsewhere")
    assert result.exit_code == 2
    assert "elsewhere: has no journal of answers" in result.stderr
