"""Reading a recipe file: YAML in, checked :class:`Recipe` out, every complaint with file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError, RecdistillError, RunError
from ..files import read_json
from .schema import Recipe

__all__ = ["load_recipe", "parse_recipe", "recipe_of_run"]


def load_recipe(path: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: YAML file; relative paths in it start from its directory.
        overrides: ``dotted.key=value`` each, the value in YAML; list elements by number, as in ``teachers.0.k=50``.

    Raises:
        ConfigError: With file, line and the nearest known key.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("no such recipe", where=path, hint="write one with: recdistill init LOG ITEMS") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read ({error})", where=path) from None
    return parse_recipe(text, path, overrides)


def recipe_of_run(directory: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """The recipe that a run directory was made with.

    Args:
        directory: The run directory.
        overrides: As for :func:`load_recipe`.

    Raises:
        RunError: It holds no run.
        ConfigError: An override does not fit.
    """
    mark = Path(directory) / "recipe.json"
    if not mark.is_file():
        raise RunError("holds no run", where=directory, hint="make one with: recdistill run RECIPE")
    record = read_json(mark, RunError)
    for override in overrides:
        _override(record["recipe"], override)
    return Recipe(**record["recipe"], base=Path(directory) / record["base"])


def parse_recipe(text: str, path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """The same from text; ``path`` is for messages and relative paths."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(
            f"not valid YAML ({getattr(error, 'problem', None) or error})", where=f"{path}{line}"
        ) from None
    if root is None or not isinstance(values, dict):
        raise ConfigError("a recipe is a mapping of keys", where=path, hint="see: recdistill init --help")
    _no_key_twice(root, path)
    for override in overrides:
        _override(values, override)
    try:
        return Recipe(**values, base=path.parent)
    except ConfigError as error:
        where = f"{path}:{_line(root, error.key)}: {'.'.join(error.key)}"
        raise ConfigError(error.what, key=error.key, where=where, hint=error.hint) from None


def _no_key_twice(node: yaml.Node, path: Path) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise ConfigError(f"key {key.value!r} stands twice", where=f"{path}:{key.start_mark.line + 1}")
            seen.add(key.value)
            _no_key_twice(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _no_key_twice(value, path)


def _line(root: yaml.Node, key: tuple[str, ...]) -> int:
    """Line, from 1, of a key path, or of its nearest existing parent."""
    node, line = root, root.start_mark.line
    for part in key:
        found: tuple[yaml.Node, yaml.Node] | None = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            found = (node.value[int(part)], node.value[int(part)])
        if found is None:
            break
        line, node = found[0].start_mark.line, found[1]
    return line + 1


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"{override!r} is not of the form key=value", where="--set")
    *parents, last = key.split(".")
    place: Any = values
    try:
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        if isinstance(place, list):
            place[int(last)] = yaml.safe_load(text)
        else:
            place[last] = yaml.safe_load(text)
    except (ValueError, IndexError, TypeError, AttributeError, yaml.YAMLError):
        raise RecdistillError(
            f"nothing to set at {key!r}", where="--set", hint="use the recipe's keys, joined by dots"
        ) from None
