"""Generated pages are up to date, and links in the READMEs lead somewhere."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from recdistill.cli.app import COMMANDS

from ..reports.example import example_run

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md")]


def load() -> ModuleType:
    """``docs/generate.py``, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate: Any = load()
MADE: dict[Path, str] = generate.pages()


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.name)
def test_page_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == MADE[path], "run: make docs"


def test_check_says_what_is_out_of_date(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stale = {ROOT / "docs" / "none.md": "text"}
    monkeypatch.setattr(generate, "pages", lambda: stale)
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().out == "out of date: docs/none.md\n"
    assert not (ROOT / "docs" / "none.md").exists()


def test_reference_names_every_command_and_component() -> None:
    text = {path.name: content for path, content in MADE.items()}
    assert all(f"\n## {name}\n" in text["cli.md"] for name in COMMANDS)
    assert "`--history`" in text["cli.md"]
    assert "| `temperature` |" in text["components.md"]
    assert "| `min_user_events` |" in text["recipe.md"]


def test_benchmark_page(tmp_path: Path) -> None:
    result = {"bench": "step", "target": {"overhead": 1.15}, "measured": 1.04321, "steps": 20000, "ok": True}
    (tmp_path / "step.json").write_text(json.dumps(result), encoding="utf-8")
    page = generate.benchmarks.page(tmp_path)
    assert "| [step](#step) | 1.043 | overhead: 1.15 | yes |" in page
    assert "| steps | 20,000 |" in page


def test_benchmark_page_shows_a_few_things_side_by_side(tmp_path: Path) -> None:
    measured = {"rate": 3.0, "spread": 0.5}
    data = {"films": {"seen": {"mean": 0.25}, "rows": 5}, "games": {"seen": {"mean": 0.5}}}
    result = {
        "bench": "b",
        "target": {"rate": 2},
        "measured": measured,
        "data": data,
        "one": {"a": {"b": 1}},
        "ok": False,
    }
    (tmp_path / "b.json").write_text(json.dumps(result), encoding="utf-8")
    page = generate.benchmarks.page(tmp_path)
    assert "| [b](#b) | rate: 3 | rate: 2 | **no** |" in page
    assert "| spread | 0.5 |" in page
    assert "|  | films | games |\n|---|---|---|\n| seen · mean | 0.25 | 0.5 |\n| rows | 5 |  |" in page
    assert "**one**\n\n|  |  |\n|---|---|\n| a · b | 1 |" in page


def test_benchmark_page_without_results(tmp_path: Path) -> None:
    assert "Nothing has been measured yet." in generate.benchmarks.page(tmp_path)


@pytest.mark.parametrize("path", PAGES[:2], ids=lambda path: path.name)
def test_demo_output_is_put_between_the_markers(path: Path, tmp_path: Path) -> None:
    example_run().write(tmp_path / "results.json")
    filled = generate.demo.fill(path.read_text(encoding="utf-8"), tmp_path)
    block = filled.partition("demo-output:begin")[2].partition("demo-output:end")[0]
    assert "0.0812" in block
    assert generate.demo.fill(filled, tmp_path) == filled
    with pytest.raises(ValueError, match="found 0"):
        generate.demo.fill("no markers", tmp_path)


@pytest.mark.parametrize("path", [*PAGES, *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), f"{path.name}: {target}"


def test_readmes_say_the_same() -> None:
    english, chinese = (
        re.findall(r"```\w+\n.*?```", path.read_text(encoding="utf-8"), flags=re.S) for path in PAGES[:2]
    )
    assert english == chinese
