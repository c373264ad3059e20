"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError

__all__ = [
    "Columns",
    "ItemColumns",
    "Json",
    "Out",
    "Overrides",
    "RecipeFile",
    "RunDirectory",
    "roles",
    "run_directory",
    "settings",
]

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe: the YAML file of one experiment.")]
RunDirectory = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, for example runs/movies.")]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="DIR", help="Run directory; by default runs/ and the title.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Change a key of the recipe, as in student.model.dim=32."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="ROLE=COLUMN", help="What a column of the log is, as in user=customer_id."),
]
ItemColumns = Annotated[
    list[str] | None,
    typer.Option("--item-column", metavar="ROLE=COLUMN", help="What a column of the item table is, as in title=name."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def run_directory(title: str, out: Path | None) -> Path:
    """Where the run of a recipe goes."""
    return out or Path("runs") / title


def roles(given: list[str] | None) -> dict[str, str]:
    """``ROLE=COLUMN`` options as a mapping.

    Raises:
        ConfigError: One has no equals sign.
    """
    return _pairs(given, "ROLE=COLUMN", "--column")


def settings(given: list[str] | None) -> dict[str, str]:
    """``KEY=VALUE`` options as a mapping.

    Raises:
        ConfigError: One is of another form.
    """
    return _pairs(given, "KEY=VALUE", "--set")


def _pairs(given: list[str] | None, form: str, option: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in given or ()]
    for key, equals, value in pairs:
        if not (key and equals and value):
            raise ConfigError(f"{key + equals + value!r} is not of the form {form}", where=option)
    return {key: value for key, _, value in pairs}
