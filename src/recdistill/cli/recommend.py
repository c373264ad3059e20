"""``recdistill recommend``: items for a history, from a bundle; no torch, no teacher."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ..serving import Bundle

__all__ = ["recommend"]

_TIMED = 21
"""Calls that the printed time is the median of; the first one warms up."""


def recommend(
    place: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="A run directory or a bundle.")],
    history: Annotated[
        list[str] | None,
        typer.Option("--history", "-H", metavar="'TITLE; TITLE'", help="Titles or ids, oldest first, with semicolons."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Id of a user that the bundle keeps; a history comes behind it.")
    ] = None,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many items.")] = 10,
    as_json: Json = False,
) -> None:
    """Recommend items for a history or a user.

    Without either: what is popular. Needs neither torch nor a teacher.
    """
    import numpy as np

    from ..serving import Bundle, resolve
    from ..serving.deployment import Home

    bundle = Bundle.open(Home.of(place).served)
    names = [name.strip() for text in history or () for name in text.split(";") if name.strip()]
    seen = np.array([resolve(bundle.items, name) for name in names], dtype=np.int64)
    if user is not None:
        _check_user(bundle, user)
    items, scores = bundle.recommend_indices(seen, n, user=user)
    scored = zip(items.tolist(), scores.tolist(), strict=True)
    rows = [_described(bundle, at) | {"score": round(score, 4)} for at, score in scored]
    past, milliseconds = [_described(bundle, at) for at in seen.tolist()], _milliseconds(bundle, seen, n, user)
    if as_json:
        _print_json({"user": user, "history": past, "recommendations": rows, "milliseconds": round(milliseconds, 3)})
    else:
        _print_table([f"user {user}"] * (user is not None) + [row["title"] for row in past], rows)
        typer.echo(f"\n  {bundle.n_items:,} items ranked in {milliseconds:.2f} ms (median of {_TIMED - 1} calls)")


def _described(bundle: Bundle, index: int) -> dict[str, Any]:
    return {"item": bundle.items.ids[index], "title": bundle.items.title(index)}


def _check_user(bundle: Bundle, user: str) -> None:
    from ..errors import DataError

    if bundle.users is None:
        hint = "write it with bundle: {users: true}, or give a --history"
        raise DataError("this bundle keeps no users", where=bundle.path, hint=hint)
    if bundle.users.ids.find([user])[0] < 0:
        raise DataError(f"user {user!r} is not known", where=bundle.path, hint="give a --history")


def _milliseconds(bundle: Bundle, seen: npt.NDArray[np.int64], n: int, user: str | None) -> float:
    """Median time of one call, without the look-up of titles."""
    times = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        bundle.recommend_indices(seen, n, user=user)
        times.append(time.perf_counter() - start)
    return median(times[1:]) * 1000


def _print_json(value: dict[str, Any]) -> None:
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _print_table(past: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from .output import console

    grid = Table("", "title", "item", "score", box=box.SIMPLE_HEAD, pad_edge=False)
    grid.columns[0].justify = grid.columns[3].justify = "right"
    for place, row in enumerate(rows, 1):
        grid.add_row(str(place), Text(row["title"]), Text(row["item"], style="dim"), f"{row['score']:.3f}")
    out = console()
    out.print("after " + " · ".join(past) if past else "popular", markup=False)
    out.print(grid)
