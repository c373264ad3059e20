"""Arguments and options that several commands share."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import ConfigError

__all__ = [
    "Columns",
    "ItemColumns",
    "Json",
    "On",
    "Out",
    "Overrides",
    "RayAddress",
    "RayWorkers",
    "RecipeFile",
    "RunDirectory",
    "cluster",
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
On = Annotated[
    Literal["ray"] | None,
    typer.Option("--on", help="Ask language models and encode texts on a cluster of Ray; by default in this process."),
]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray-address", metavar="HOST:PORT", help="That cluster; by default RAY_ADDRESS, or this machine."),
]
RayWorkers = Annotated[
    int | None, typer.Option("--ray-workers", metavar="N", min=1, help="Processes at work in that cluster.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def run_directory(title: str, out: Path | None) -> Path:
    """Where the run of a recipe goes."""
    return out or Path("runs") / title


def cluster(on: str | None, address: str | None, workers: int | None) -> AbstractContextManager[None]:
    """The block in which language models and encoders are at work where they were wanted.

    Raises:
        ConfigError: Options that need another one, or an address of another form.
        MissingExtraError: Ray is not installed.
    """
    if on is None:
        for option, value in (("--ray-address", address), ("--ray-workers", workers)):
            if value is not None:
                raise ConfigError("says where on a cluster", where=option, hint="add --on ray")
        return nullcontext()
    from ..teachers.cluster import Cluster, on_cluster

    return on_cluster(Cluster(address=address, workers=workers))


def roles(given: list[str] | None) -> dict[str, str]:
    """``ROLE=COLUMN`` options as a mapping.

    Raises:
        ConfigError: One has no equals sign.
    """
    return _pairs(given, "ROLE=COLUMN", "--column")


def settings(given: list[str] | None, option: str = "--set") -> dict[str, str]:
    """``KEY=VALUE`` options as a mapping.

    Raises:
        ConfigError: One is of another form.
    """
    return _pairs(given, "KEY=VALUE", option)


def _pairs(given: list[str] | None, form: str, option: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in given or ()]
    for key, equals, value in pairs:
        if not (key and equals and value):
            raise ConfigError(f"{key + equals + value!r} is not of the form {form}", where=option)
    return {key: value for key, _, value in pairs}
