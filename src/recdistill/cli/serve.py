"""``recdistill serve``: a run or bundle over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .options import settings

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
    """Serve a run or bundle over HTTP: a page to try it at /, the API at /docs.

    Keys come from the environment: RECDISTILL_API_KEYS=NAME:KEY,NAME:KEY. Without any, whoever reaches the address may
    ask. Needs neither torch nor a teacher.
    """
    # one recommendation is too small to share between threads; must be said before numpy is loaded
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from ..serving.http import Settings
    from ..serving.http import serve as run

    given = {"host": host, "port": port, "workers": workers, "feedback": feedback} | settings(overrides)
    run(place, Settings(**given))
