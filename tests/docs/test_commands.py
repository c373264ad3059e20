"""Every command and every example in the READMEs and the docs works."""

from __future__ import annotations

import json
import logging
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from recdistill.cli.app import app
from recdistill.cli.demo import RECIPE

from ..movies import write_movies
from ..serving.http.process import served

ROOT = Path(__file__).parent.parent.parent
SITE = tuple(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))
PAGES = ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", *SITE)
SERVER = "http://127.0.0.1:8000"
"""Where the pages' examples ask a server."""
SMALL = {"run": ["seeds=[0]", "teachers.1.training={epochs: 1}"], "demo": ["data.cleaning.min_item_events=100"]}
PYTHON = ("README.md", *(f"docs/{name}.md" for name in ("compression", "quickstart", "serving", "strategies")))
STUDENTS = ["evaluate.baselines=[popularity]"]
STUDENTS += [f"student.{kind}.training={{epochs: 1}}" for kind in ("alone", "distilled")]
"""What makes a documented command short enough for a test; everything else about it stays."""


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(page: str) -> list[str]:
    """Every shell command of a page, in order."""
    shown = [line[2:] for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]
    return shown + [line for block in blocks(page, "bash") for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small files of the names that the pages use; runs stay in it from page to page."""
    folder = tmp_path_factory.mktemp("docs")
    write_movies(folder)
    return folder


@pytest.fixture(autouse=True)
def _there(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(workplace)
    for recipe in workplace.glob("*.yaml"):
        recipe.unlink()
    log = logging.getLogger("recdistill")
    before = log.handlers[:], log.propagate, log.level
    yield
    log.handlers[:], log.propagate = before[:2]
    log.setLevel(before[2])


def recdistill(arguments: list[str], short: Collection[str] = ()) -> None:
    """Run a command of ours in this process, with fewer epochs where it trains; ``short`` recipes stay as they are."""
    small: list[str] = []
    if arguments[0] in ("demo", "run", "train") and not set(arguments) & set(short):
        small = [*SMALL["demo" if arguments[0] == "demo" else "run"], *STUDENTS]
    result = CliRunner().invoke(app, [*arguments, *(part for text in small for part in ("--set", text))])
    assert result.exit_code == 0, f"{shlex.join(arguments)}\n{result.stderr}"


def make(target: str) -> None:
    """``make demo`` is run as the command behind it; of other targets we see that they exist."""
    done = subprocess.run(["make", "-n", "-C", str(ROOT), target], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if target == "demo":
        assert "recdistill demo" in done.stdout
        recdistill(["demo"])


def demo_is_there() -> None:
    """Made by the pages' commands, if those were tested before."""
    if not Path("runs/demo/bundle").exists():
        recdistill(["demo"])


def pip(arguments: list[str]) -> None:
    """An installation is not repeated; its extras must exist."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = re.findall(r"\[([\w,]+)\]", " ".join(arguments))
    assert {extra for group in named for extra in group.split(",")} <= set(known)


def write_files(page: str) -> list[str]:
    """Write the files that a page shows under their names; these names."""
    text = (ROOT / page).read_text(encoding="utf-8")
    files = dict(re.findall(r'```yaml title="([^"/]+)"\n(.*?)```', text, flags=re.DOTALL))
    for name, content in files.items():
        Path(name).write_text(content, encoding="utf-8")
    return list(files)


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_commands(page: str) -> None:
    short = write_files(page)
    shown = commands(page)
    if any("runs/demo" in command for command in shown) and "make demo" not in shown:
        demo_is_there()
    for command in shown:
        program, *arguments = shlex.split(command)
        if program == "recdistill":
            recdistill(arguments, short)
        elif program == "make":
            make(arguments[0])
        elif program == "pip":
            pip(arguments)
        else:
            assert command == "source .venv/bin/activate", f"{page}: nobody tests {command!r}"


@pytest.mark.parametrize("page", PYTHON)
def test_python(page: str, tmp_path: Path) -> None:
    names: dict[str, object] = {}
    demo_is_there()
    code = blocks(page, "python")
    with ExitStack() as stack:
        if any(SERVER in block for block in code):
            url, _ = stack.enter_context(served(Path("runs/demo"), log=tmp_path / "log"))
            code = [block.replace(SERVER, url) for block in code]
        for number, block in enumerate(code):
            exec(compile(block, f"{page}, block {number + 1}", "exec"), names)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks by curl")
def test_questions_by_curl(tmp_path: Path) -> None:
    (block,) = [block for block in blocks("docs/serving.md", "text") if "curl" in block]
    demo_is_there()
    with served(Path("runs/demo"), log=tmp_path / "log") as (url, _):
        assert SERVER in block
        said = subprocess.check_output(["bash", "-euc", block.replace(SERVER, url)], text=True)
    answers = [json.loads(line) for line in said.splitlines()]
    assert len(answers) == block.count("\nask ")
    assert not [answer["error"] for answer in answers if "error" in answer]


def of_the_contributors_guide(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A class of a block of the guide, which is a whole file of the objectives' room."""
    (block,) = (block for block in blocks("CONTRIBUTING.md", "python") if f"class {name}(" in block)
    module = ModuleType(f"recdistill.objectives.{name.lower()}")
    module.__package__ = "recdistill.objectives"
    assert block.startswith('"""')  # as every file here
    assert max(map(len, block.splitlines())) <= 120
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(block, "CONTRIBUTING.md", "exec"), module.__dict__)
    return getattr(module, name)


@pytest.mark.parametrize("name", ["ConfidentTop", "WeightedPairs", "Lengths"])
def test_the_objectives_of_the_contributors_guide_keep_the_contract(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from recdistill.testing import ObjectiveContract

    class Contract(ObjectiveContract):
        config = of_the_contributors_guide(name, monkeypatch)()

    for test in (name for name in dir(Contract) if name.startswith("test_")):
        getattr(Contract(), test)()


@pytest.mark.parametrize("name", ["ConfidentTop", "WeightedPairs"])
def test_the_objectives_of_the_contributors_guide(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import recdistill as rd
    from recdistill.testing import tiny_split

    split = tiny_split()
    knowledge = rd.teach(rd.models.Popularity(), split, k=5)
    student = rd.models.SASRec(dim=8, blocks=1)
    few = rd.training.Training(epochs=2)
    term = of_the_contributors_guide(name, monkeypatch)()
    fitted = rd.distill(student, split, knowledge, objectives=[rd.objectives.CrossEntropy(), term], training=few)
    assert fitted.n_items == split.n_items


def test_the_method_about_vectors_of_the_contributors_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    import recdistill as rd
    from recdistill.testing import tiny_split

    split, few = tiny_split(), rd.training.Training(epochs=2)
    knowledge = rd.teach(rd.models.MF(dim=16), split, k=5, training=few)
    terms = [rd.objectives.CrossEntropy(), of_the_contributors_guide("Lengths", monkeypatch)()]
    fitted = rd.distill(rd.models.MF(dim=4), split, knowledge, objectives=terms, training=few)
    assert fitted.n_items == split.n_items


def test_the_demo_recipe_is_in_the_package() -> None:
    assert RECIPE.is_file()
