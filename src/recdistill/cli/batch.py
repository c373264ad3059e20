"""``recdistill batch``: lists for every row of a Parquet table, from a bundle; no torch, no teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["batch"]


def batch(
    place: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="A run directory or a bundle.")],
    source: Annotated[Path, typer.Argument(metavar="IN", help="Parquet with columns user, history (lists) or both.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Parquet to write.")],
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="Items of a list, at most.")] = 10,
    where: Annotated[
        str | None, typer.Option(metavar="JSON", help='Which items may come, as in {"category": ["Comedy"]}.')
    ] = None,
    keep_history: Annotated[bool, typer.Option("--keep-history", help="Items of the history may come again.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="At work; by default one for each core.")] = None,
) -> None:
    """Recommend for every row of a table; after an interruption the same command goes on.

    Writes user (or row), items and scores, best first. Needs neither torch nor a teacher.
    """
    import os

    # rows are shared between threads, a product of matrices is not; must be said before numpy is loaded
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from ..serving import Bundle, recommend_batch
    from ..serving.deployment import Home

    wanted = None if where is None else _filter(where)
    bundle = Bundle.open(Home.of(place).served)
    rows = recommend_batch(bundle, source, target, n=n, exclude_history=not keep_history, where=wanted, threads=threads)
    typer.echo(f"{rows:,} lists in {target}")


def _filter(text: str) -> object:
    import json

    from ..errors import ConfigError
    from ..serving import parse_filter

    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"is no JSON ({error})", where="--where") from None
    return parse_filter(value)
