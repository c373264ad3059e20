"""``recdistill update``: learn from what users did, and serve the result if it is as good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json, RunDirectory, settings

if TYPE_CHECKING:
    from ..recipes.update import Updated

__all__ = ["update"]


def update(
    run: RunDirectory,
    feedback: Annotated[
        str | None, typer.Option(metavar="URL", help="postgresql:// store of events; default: SQLite beside the run.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="Another setting of the update, as in replay=8."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Refine the student that is served by new events; a running server follows.

    Replay of older events, the stored answers of the teachers and the student's own earlier ones keep it from
    forgetting. The new bundle is served only if it is as good on validation as now and as before the first update,
    and no worse at new events that it was neither trained nor chosen by; if not, nothing changes, the reason is told
    and the exit code is 1. Every attempt is a line of serving/updates.jsonl, with the drift of items and users.
    """
    from ..recipes.update import Updating
    from ..recipes.update import update as work

    found = work(run, Updating(**settings(overrides)), feedback)
    if as_json:
        import json

        typer.echo(json.dumps(found.record()))
    else:
        _print(found)
    if found.outcome == "refused":
        raise typer.Exit(1)


def _print(found: Updated) -> None:
    from .output import facts, shown

    verdict, moved = found.verdict, found.drift
    typer.echo(found.outcome if not found.reason else f"{found.outcome}: {found.reason}")
    rows: list[tuple[str, Any]] = [("new events", f"{found.new_events:,}")]
    if verdict is not None:
        rows += [
            (f"{verdict.metric} on validation", f"{verdict.old_before:.4f} → {verdict.old_after:.4f}"),
            ("before the first update", f"{verdict.old_reference:.4f}"),
            (f"{verdict.metric} at new events", f"{verdict.fresh_before:.4f} → {verdict.fresh_after:.4f}"),
            ("same top 10", f"{verdict.overlap_at_10:.1%}"),
        ]
    for name in ("items", "categories", "hours"):
        told = moved[name]
        rows.append((f"drift of {name}", told and f"{told['divergence']:.3f} (by chance {told['expected']:.3f})"))
    users = moved["users"]
    rows += [
        ("users", f"{users['active']:,} active, {users['new']:.0%} of them new"),
        ("events outside the catalogue", f"{moved['unknown_items']['share']:.0%}"),
        ("served", f"{shown(found.bundle)}, deployment {found.deployment}"),
    ]
    facts(rows)
