"""What a command does when something goes wrong: one line on stderr and an exit code, never a traceback unasked."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import ParamSpec

import typer

from ..errors import RecdistillError

__all__ = ["guarded"]

P = ParamSpec("P")
_DEBUG = "RECDISTILL_DEBUG"
USER, UNEXPECTED, INTERRUPTED = 2, 1, 130
"""Exit codes: something the user can put right; a defect of ours; Ctrl-C."""


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """The command, with every exception turned into a line and an exit code, unless ``RECDISTILL_DEBUG`` is set."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            typer.echo("interrupted; finished stages are kept, the same command goes on from there", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            if os.environ.get(_DEBUG):
                raise
            raise typer.Exit(_say(error)) from None

    return run


def _say(error: Exception) -> int:
    known = isinstance(error, RecdistillError)
    text = str(error) if known else f"unexpected {type(error).__name__}: {error}; set {_DEBUG}=1 to see the traceback"
    typer.secho(f"error: {' '.join(text.split())}", fg=typer.colors.RED, err=True)
    return USER if known else UNEXPECTED
