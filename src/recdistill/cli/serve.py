"""``recdistill serve``: a run or bundle over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["serve"]


def serve(
    place: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="A run directory or a bundle.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", help="Port to listen on; 0 for any that is free.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes that answer.")] = 1,
    feedback: Annotated[
        str | None, typer.Option(metavar="URL", help="postgresql:// store of events; default: SQLite beside the run.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="Another setting of the server, as in rate=20."),
    ] = None,
) -> None:
    """Serve a run or bundle over HTTP; /openapi.json describes the API.

    Keys come from the environment: RECDISTILL_API_KEYS=NAME:KEY,NAME:KEY. Without any, whoever reaches the address may
    ask. Needs neither torch nor a teacher.
    """
    # one recommendation is too small to share between threads; must be said before numpy is loaded
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from ..serving.http import Settings
    from ..serving.http import serve as run

    given = {"host": host, "port": port, "workers": workers, "feedback": feedback} | _settings(overrides)
    run(place, Settings(**given))


def _settings(overrides: list[str] | None) -> dict[str, str]:
    from ..errors import ConfigError

    pairs = [text.partition("=") for text in overrides or ()]
    for key, equals, value in pairs:
        if not (key and equals and value):
            raise ConfigError(f"{key + equals + value!r} is not of the form KEY=VALUE", where="--set")
    return {key: value for key, _, value in pairs}
