"""``recdistill components``: what can stand in a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .options import Json

if TYPE_CHECKING:
    from ..registry import Components

__all__ = ["components", "tables"]


def tables() -> dict[str, Components]:
    """All tables of components, by kind."""
    from ..compression import STEPS
    from ..data import READERS, SPLITS
    from ..models import MODELS
    from ..objectives import OBJECTIVES
    from ..teachers import TEACHERS
    from ..teachers.llm import BACKENDS, CANDIDATES, SELECTORS, TASKS
    from ..training.live import LIVE

    asking = (TASKS, CANDIDATES, SELECTORS, BACKENDS)
    return {table.kind: table for table in (TEACHERS, *asking, MODELS, OBJECTIVES, LIVE, STEPS, SPLITS, READERS)}


def components(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="One table only, such as teachers, tasks, models or objectives."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the teachers, models, objectives and splits.

    With name in recipes, Python class, extra to install, and what it is.
    """
    from ..errors import ConfigError, nearest

    found = tables()
    if kind is not None and kind not in found:
        raise ConfigError(f"no components are called {kind!r}", hint=nearest(kind, found))
    chosen = found if kind is None else {kind: found[kind]}
    _json(chosen) if as_json else _print(chosen)


def _json(chosen: dict[str, Components]) -> None:
    import json

    rows = {
        kind: [{"name": c.name, "class": c.path, "extra": c.extra, "summary": c.summary} for c in table.values()]
        for kind, table in chosen.items()
    }
    typer.echo(json.dumps(rows, indent=2))


def _print(chosen: dict[str, Components]) -> None:
    from rich.table import Table

    from .output import console

    out = console()
    for kind, table in chosen.items():
        grid = Table("name", "class", "extra", "what it is", title=kind, title_justify="left", box=None)
        for c in table.values():
            grid.add_row(c.name, c.attribute, c.extra or "", c.summary)
        out.print(grid)
        out.print()
