"""``recdistill estimate``: what asking will cost, before it is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json, Out, Overrides, RecipeFile, run_directory

if TYPE_CHECKING:
    from ..recipes.estimate import Forecast
    from ..teachers.llm.estimate import Range

__all__ = ["estimate"]


def estimate(
    recipe: RecipeFile,
    sample: Annotated[
        int, typer.Option("--sample", metavar="N", min=0, help="Questions asked to measure; their answers are kept.")
    ] = 32,
    out: Out = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Say what the language models of a recipe will cost.

    Requests, tokens, time and money, each with an interval of 95 %, and what is answered already. A small sample is
    asked for it and kept in the journal: run pays for the rest only.
    """
    import json

    from ..recipes import load_recipe
    from ..recipes.estimate import forecasts

    loaded = load_recipe(recipe, tuple(overrides or ()))
    found = forecasts(loaded, run_directory(loaded.title, out), sample)
    if as_json:
        typer.echo(json.dumps([forecast.plain() for forecast in found], indent=2))
    else:
        for forecast in found:
            _print(forecast)
        if not found:
            typer.echo("no teacher of this recipe asks a language model")


def _print(forecast: Forecast) -> None:
    from ..reports.words import duration
    from ..teachers.llm.budget import in_money
    from .output import facts

    e = forecast.estimate
    able = e.capabilities
    typer.echo(f"{forecast.teacher}: {forecast.task} by {able.model}")
    money = e.money and _interval(e.money, in_money, forecast.currency)
    rows: list[tuple[str, Any]] = [
        ("questions", f"{e.questions:,}" + (f", {e.empty:,} of them with nothing to ask about" if e.empty else "")),
        ("answered", f"{e.settled:,}" + (f", {e.sampled:,} of them for this estimate" if e.sampled else "")),
        ("to ask", f"{e.left:,}"),
        ("tokens in", _interval(e.tokens_in, _count)),
        ("tokens out", _interval(e.tokens_out, _count)),
        ("time", e.seconds and _interval(e.seconds, duration) + (", less as the pace was still rising" * e.rising)),
        ("money", money),
        ("budget", forecast.budget),
        *(("note", note) for note in forecast.notes),
    ]
    facts(rows)


def _interval(found: Range, words: Any, unit: str = "") -> str:
    after = f" {unit}" if unit else ""
    return f"{words(found.value)}{after} ({words(found.low)} to {words(found.high)})"


def _count(value: float) -> str:
    return f"{value:,.0f}"
