"""``recdistill data``: what is in the files, what is kept of it, and why the rest is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Columns, ItemColumns, Json, Overrides, roles

if TYPE_CHECKING:
    from ..data import Dataset, Split

__all__ = ["data", "dataset_facts"]


def data(
    files: Annotated[list[str], typer.Argument(metavar="RECIPE_OR_LOG [ITEMS]", help="A recipe, or a log and items.")],
    columns: Columns = None,
    item_columns: ItemColumns = None,
    quarantine: Annotated[Path | None, typer.Option(metavar="FILE", help="CSV to write unusable rows into.")] = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Report on the data: rows read, kept and dropped, and why.

    Also which column was taken for what, and for a recipe the parts of its split.
    """
    from .output import facts

    if files[0].endswith((".yaml", ".yml")):
        _alone(len(files) == 1 and not columns and not item_columns, "a recipe", "change it with --set KEY=VALUE")
        split = _of_recipe(files[0], tuple(overrides or ()), quarantine)
        dataset = split.dataset
    else:
        _alone(len(files) <= 2 and not overrides, "a log with its items", "--set goes with a recipe")
        split, dataset = None, _of_files(files, roles(columns), roles(item_columns), quarantine)
    if as_json:
        typer.echo(json.dumps({"name": dataset.name, **dataset.report, **_parts(split)}, indent=2, ensure_ascii=False))
        return
    typer.secho(dataset.name, bold=True)
    parts = [(name.replace("_", " "), f"{n:,}" if isinstance(n, int) else n) for name, n in _parts(split).items()]
    facts([*dataset_facts(dataset.report), *parts])


def _alone(is_so: bool, what: str, hint: str) -> None:
    from ..errors import ConfigError

    if not is_so:
        raise ConfigError(f"{what} stands alone", hint=hint)


def _of_recipe(path: str, overrides: tuple[str, ...], quarantine: Path | None) -> Split:
    from ..recipes.load import load_recipe
    from ..recipes.sources import split_data

    recipe = load_recipe(path, overrides)
    return split_data(recipe.data, recipe.base, quarantine)


def _of_files(
    files: list[str], columns: dict[str, str], item_columns: dict[str, str], quarantine: Path | None
) -> Dataset:
    from ..recipes.schema import DataSpec
    from ..recipes.sources import read_data

    spec = DataSpec(log=files[0], items=(*files, None)[1], columns=columns, item_columns=item_columns)
    return read_data(spec, Path(), quarantine)


_UNTIMED = "no column says when: the order of rows counts; or name one, as in --column time=COLUMN"


def dataset_facts(report: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """The report of a dataset as names and values."""
    dropped = [f"{count:,} × {reason}" for reason, count in report["dropped"].items()]
    bad = [f"{row['file']}, line {row['line']}: {row['reason']}" for row in report.get("bad_rows", ())[:3]]
    span = (report.get("time_from"), report.get("time_to"))
    return [
        ("columns", _roles(report.get("columns", {}))),
        ("item columns", _roles(report.get("item_columns", {}))),
        ("item text", report.get("template")),
        ("rows", f"{report['rows_read']:,} read, {report['rows_kept']:,} kept"),
        ("dropped", "; ".join(dropped) or None),
        ("for example", "; ".join(bad) or None),
        ("in full", report.get("quarantine")),
        ("users", f"{report['users']:,}"),
        ("items", f"{report['items']:,}"),
        ("density", f"{report['density']:.2%}"),
        ("time", " to ".join(part[:10] for part in span if part) or _UNTIMED),
    ]


def _roles(columns: Mapping[str, str]) -> str | None:
    return ", ".join(f"{role} = {column}" for role, column in columns.items()) or None


def _parts(split: Split | None) -> dict[str, Any]:
    if split is None:
        return {}
    return {
        "split": split.method,
        "training_events": split.train.n_events,
        "validation_contexts": len(split.valid),
        "test_contexts": len(split.test),
    }
