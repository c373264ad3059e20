"""The shape of the code: which room may know which, how long things are, what is never done."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recdistill.cli.components import tables
from recdistill.registry import Component

SOURCE = Path(__file__).parent.parent / "src" / "recdistill"
FILES = sorted(SOURCE.rglob("*.py"))
ROOMS = (
    {"errors"},
    {"config", "registry", "files", "progress", "stages"},
    {"data"},
    {"knowledge", "pretrained"},
    {"models"},
    {"objectives", "evaluation", "teachers"},
    {"serving", "compression", "training"},
    {"recipes", "reports"},
    {"cli"},
    {"", "__main__", "api", "testing"},
)
"""From the bottom up; "" is the package itself, whose names everything above ``data`` may lead to."""
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
BESIDE = {
    ("compression", "serving"), ("compression", "training"), ("recipes", "reports"), ("registry", "config"),
    ("stages", "files"),
}  # fmt: skip
"""Rooms of one level of which the first may import the second."""
SERVING = {"data", "serving", *ROOMS[0], *ROOMS[1]}


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and full module name of every import, also those for type checking only."""
    package = ["recdistill", *file.relative_to(SOURCE).parent.parts]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                yield node.lineno, ".".join([*module, alias.name] if module == ["recdistill"] else module)


def room(file: Path) -> str:
    """The room a file is in: a package or a module of the top level, "" for the package itself."""
    first = file.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py").removeprefix("__init__")


def rooms_imported(file: Path) -> Iterator[tuple[int, str]]:
    """Line and room of every import of ours; ``from recdistill import __version__`` is of no room."""
    for line, module in imports(file):
        if module.partition(".")[0] == "recdistill":
            name = module.partition(".")[2].partition(".")[0]
            if name != "__version__":
                yield line, name


def test_every_room_has_a_level() -> None:
    assert {room(file) for file in FILES} <= set(LEVEL)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_go_down(file: Path) -> None:
    own = room(file)
    for line, other in rooms_imported(file):
        allowed = other == own or LEVEL[other] < LEVEL[own] or (own, other) in BESIDE or LEVEL[own] == len(ROOMS) - 1
        assert allowed, f"{file}:{line}: {own or 'the package'} must not import {other or 'the package'}"
        assert own != "serving" or other in SERVING, f"{file}:{line}: serving must not import {other}"


def test_serving_never_imports_torch() -> None:
    found = {module.partition(".")[0] for file in FILES if room(file) == "serving" for _, module in imports(file)}
    assert not found & {"torch", "scipy", "transformers", "polars"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_sizes(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count("\n") <= 600
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 80, f"{file}:{node.lineno}: {node.name} has {length} lines"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_never_done(file: Path) -> None:
    assert not {"pickle", "marshal", "shelve", "dill", "joblib"} & {module for _, module in imports(file)}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called not in {"eval", "exec", "print", "os.system"}, f"{file}:{node.lineno}: {called}"
        if called == "torch.load":
            safe = [k for k in node.keywords if k.arg == "weights_only" and ast.unparse(k.value) == "True"]
            assert safe, f"{file}:{node.lineno}: torch.load without weights_only=True"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_every_module_and_public_thing_has_a_docstring(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{file} has no docstring"
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{file}:{node.lineno}: {node.name} has no docstring"


COMPONENTS = [component for table in tables().values() for component in table.values()]


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_component_loads_and_is_described(component: Component) -> None:
    loaded = component.load()
    assert loaded.__doc__
    assert component.summary
    assert getattr(loaded, "name", component.name) == component.name


INSIDE = {"splits": "data", "readers": "data", "live": "training", "steps": "compression"}
INSIDE |= {kind: f"teachers.llm.{kind}" for kind in ("tasks", "candidates", "selectors", "backends")}
"""Packages of the tables that are in no room of their own."""


def test_table_and_package_agree() -> None:
    import importlib

    for kind, table in tables().items():
        package = importlib.import_module(f"recdistill.{INSIDE.get(kind, kind)}")
        if kind != "readers":
            assert set(table.classes()) <= set(package.__all__)
        assert all(getattr(package, name) is not None for name in table.classes())


def test_import_is_light() -> None:
    code = "import sys, recdistill; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"torch", "polars", "numpy", "pyarrow", "pydantic", "typer", "rich", "scipy", "transformers"}


def test_all_names_of_the_package_resolve() -> None:
    import recdistill

    for name in recdistill.__all__:
        assert getattr(recdistill, name) is not None
