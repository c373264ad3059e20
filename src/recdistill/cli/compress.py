"""``recdistill compress``: a smaller bundle for a run, behind a rank gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json, RunDirectory

if TYPE_CHECKING:
    from ..compression.outcome import Outcome
    from ..recipes.schema import CompressionSpec

__all__ = ["compress"]


def compress(
    run: RunDirectory,
    steps: Annotated[
        str | None,
        typer.Option(
            "--steps",
            metavar="STEPS",
            help="In their order, as in 'int8, pq' or 'int8, {type: low-rank, amount: 0.25}'; by default those that "
            "suit the model.",
        ),
    ] = None,
    under: Annotated[
        str | None, typer.Option("--under", metavar="SIZE", help="Largest bundle that may be picked, as in 2MB.")
    ] = None,
    faster_than: Annotated[
        str | None,
        typer.Option("--faster-than", metavar="TIME", help="Longest median recommendation, as in 0.1ms."),
    ] = None,
    max_drop: Annotated[
        str | None,
        typer.Option("--max-drop", metavar="SHARE", help="NDCG@10 that a step may cost, as in 0.5%, which is usual."),
    ] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Serve the picked bundle from now on.")] = False,
    as_json: Json = False,
) -> None:
    """Make the student of a run smaller, step by step.

    After every step the bundle is measured on validation; a step that costs too much is undone. Prints every candidate
    with its quality, size and time, and writes the one that fits the budget into RUN/compressed.
    """
    from ..compression.chain import no_fit
    from ..recipes.compressing import compress_run
    from ..recipes.load import recipe_of_run

    recipe = recipe_of_run(run)
    options = {"under": under, "faster_than": faster_than, "steps": steps, "max_drop": max_drop}
    spec = _asked(recipe.compression, {name: value for name, value in options.items() if value is not None})
    outcome = compress_run(recipe, run, spec, publish=publish)
    typer.echo(outcome.model_dump_json(indent=2)) if as_json else _print(outcome, run, publish)
    if outcome.picked is None:
        raise no_fit(outcome)


def _asked(of_recipe: CompressionSpec | None, options: dict[str, str]) -> CompressionSpec:
    """What the recipe says, changed by the options."""
    import yaml

    from ..errors import ConfigError
    from ..recipes.schema import CompressionSpec

    spec = of_recipe or CompressionSpec()
    changes: dict[str, Any] = {name: options[name] for name in ("under", "faster_than") if name in options}
    if "steps" in options:
        try:
            changes["steps"] = yaml.safe_load(f"[{options['steps']}]")
        except yaml.YAMLError:
            hint = "separate names by commas: --steps 'int8, pq'"
            raise ConfigError(f"{options['steps']!r} is no list of steps", where="--steps", hint=hint) from None
    if "max_drop" in options:
        changes["gate"] = {**spec.gate.model_dump(), "max_drop": options["max_drop"]}
    try:
        return spec.replace(**changes)
    except ConfigError as error:
        option = {"gate": "max-drop", "faster_than": "faster-than"}.get(error.key[0], error.key[0])
        inside = ".".join(error.key[1:] if option in ("steps",) else ())
        raise ConfigError(error.what, where=f"--{option}{f' {inside}' if inside else ''}", hint=error.hint) from None


def _print(outcome: Outcome, run: Path, published: bool) -> None:
    from ..reports import compression_console, compression_table
    from .output import console, facts, shown

    out = console()
    out.print(compression_console(outcome, out.width))
    out.print(f"[bold]{compression_table(outcome).sentence}[/bold]", soft_wrap=True)
    if outcome.picked is not None:
        bundle = run / ("bundle" if published else "compressed")
        typer.echo("")
        facts([("bundle", shown(bundle)), ("next", f"recdistill recommend {shown(bundle)} --history TITLE")])
