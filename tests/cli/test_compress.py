"""``recdistill compress``, on a run of a few films."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from recdistill.files import read_json, write_json

from .conftest import Invoke

LENIENT = ("--max-drop", "60%", "--steps", "int8, {type: prune-feed-forward, epochs: 0}, deflate")


@pytest.fixture
def run(finished: Path, here: Path) -> Path:
    """A finished run in the working directory, free to be changed."""
    place = Path(shutil.copytree(finished, here / "runs" / "films"))
    mark = place / "recipe.json"
    write_json(mark, read_json(mark) | {"base": "../.."})  # the recipe that lies here is the same
    return place


def test_a_run_is_compressed_and_what_was_there_is_kept(run: Path, call: Invoke) -> None:
    served = (run / "bundle" / "manifest.json").read_bytes()
    result = call("compress", run, *LENIENT)
    assert result.exit_code == 0, result.stderr
    assert "was picked: vectors and encoder are" in result.stdout
    assert "uncompressed" in result.stdout
    assert (run / "compressed" / "manifest.json").exists()
    assert (run / "bundle" / "manifest.json").read_bytes() == served
    assert "<h2>Compression</h2>" in (run / "report.html").read_text(encoding="utf-8")
    assert call("recommend", run / "compressed", "--history", "Heat (1995)", "-n", "2").exit_code == 0
    first = (run / "compressed" / "manifest.json").read_bytes()

    again = call("compress", run, *LENIENT, "--json")
    assert json.loads(again.stdout)["rows"][0]["name"] == "uncompressed"
    assert not (run / "earlier").exists()  # nothing has changed

    other = call("compress", run, "--max-drop", "60%", "--steps", "int8", "--publish")
    assert other.exit_code == 0, other.stderr
    assert (run / "earlier" / "compressed-1" / "manifest.json").read_bytes() == first
    assert (run / "earlier" / "bundle-1" / "manifest.json").read_bytes() == served
    assert (run / "earlier" / "compression-1.json").exists()
    assert (run / "bundle" / "manifest.json").read_bytes() == (run / "compressed" / "manifest.json").read_bytes()
    assert "is kept in" in other.stderr


def test_a_budget_that_nothing_fits_is_one_line_behind_the_table(run: Path, call: Invoke) -> None:
    result = call("compress", run, *LENIENT, "--under", "1kB", "--publish")
    assert result.exit_code == 2
    assert "no candidate fits the budget" in result.stderr
    assert not (run / "compressed").exists()
    result = call("compress", run, *LENIENT, "--under", "1kB")
    assert result.exit_code == 2
    assert "uncompressed" in result.stdout
    assert "No candidate fits the budget; 3 steps were tried" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("--steps", "int9"), "--steps 0.type: no steps component is called 'int9'; did you mean 'int8'?"),
        (("--steps", "{type: pq, pats: 3}"), "--steps 0.pats: unknown parameter 'pats' of pq; did you mean 'parts'?"),
        (("--steps", "int8, {"), "'int8, {' is no list of steps"),
        (("--steps", "prune-neighbours"), "steps.0: sasrec has vectors and no neighbours to prune"),
        (("--under", "2 apples"), "--under: '2 apples' is not a size"),
        (("--faster-than", "soon"), "--faster-than: 'soon' is not a duration"),
        (("--max-drop", "much"), "--max-drop: 'much' is not a share"),
    ],
)
def test_bad_input_is_one_line(run: Path, call: Invoke, arguments: tuple[str, ...], match: str) -> None:
    result = call("compress", run, *arguments)
    assert result.exit_code == 2
    assert match in result.stderr
    said = [line for line in result.stderr.splitlines() if not line.endswith("is up to date")]
    assert len(said) <= 3
    assert "Traceback" not in result.stderr


def test_a_place_that_holds_no_run(here: Path, call: Invoke) -> None:
    result = call("compress", here)
    assert result.exit_code == 2
    assert "holds no run" in result.stderr
