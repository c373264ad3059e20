"""The item table: ids, titles, categories, pictures and the text that encoders read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from ..errors import DataError
from .columns import ITEM_ROLES, resolve_columns
from .dataset import Catalogue
from .quarantine import Quarantine
from .tables import Table
from .text import guess_template, render, split_categories
from .values import clean_ids, identifier

__all__ = ["NO_ITEM_ID", "ItemTable", "read_items", "take"]

NO_ITEM_ID = "empty id in the item table"

T = TypeVar("T")


@dataclass(frozen=True)
class ItemTable:
    """A catalogue and how it was read."""

    catalogue: Catalogue
    columns: dict[str, str]
    template: str | None


def read_items(
    table: Table, columns: Mapping[str, str | None] | None, template: str | None, quarantine: Quarantine
) -> ItemTable:
    """Read an item table; the catalogue keeps its order.

    Args:
        table: One row per item.
        columns: ``{role: column}`` where the guess is wrong.
        template: For the items' text; guessed if None.
        quarantine: Gets the rows without an id.

    Raises:
        DataError: No id column, two rows with one id, or a template with an unknown column.
    """
    roles = resolve_columns(table, ITEM_ROLES, columns, ("item",))
    frame = table.collect(pl.all())
    ids = clean_ids(frame.select(identifier(table, roles["item"]).alias("id"))["id"])
    missing = ids.is_null().arg_true().to_numpy().astype(np.int64)
    quarantine.add(table, missing, [NO_ITEM_ID] * len(missing))
    _refuse_duplicates(table, ids)
    frame, ids = frame.filter(ids.is_not_null()), ids.drop_nulls()
    if not len(ids):
        raise DataError("has no items", where=table.place)
    template = template or guess_template(roles)
    return ItemTable(
        Catalogue(
            ids.to_list(),
            None if template is None else render(frame, template, roles, table.place),
            _strings(frame, roles.get("title"), ""),
            _categories(frame, roles.get("categories")),
            _strings(frame, roles.get("image"), None),
        ),
        roles,
        template,
    )


def take(catalogue: Catalogue, kept: npt.NDArray[np.int64], added: Sequence[str] = ()) -> Catalogue:
    """Some items of a catalogue, and behind them items about which only the id is known."""

    def pick(values: Sequence[T] | None, empty: T) -> list[T] | None:
        return None if values is None else [values[index] for index in kept] + [empty] * len(added)

    return Catalogue(
        [*(catalogue.ids[index] for index in kept), *added],
        pick(catalogue.texts, ""),
        pick(catalogue.titles, ""),
        pick(catalogue.categories, ()),
        pick(catalogue.images, None),
    )


def _refuse_duplicates(table: Table, ids: pl.Series) -> None:
    twice = ids.is_duplicated() & ids.is_not_null()
    if not twice.any():
        return
    first = ids.filter(twice)[0]
    rows = (ids == first).arg_true().head(5).to_numpy().astype(np.int64)
    lines = ", ".join(str(line) for line in table.records(rows)["line"])
    more = ids.filter(twice).n_unique() - 1
    raise DataError(
        f"item id {first!r} stands more than once (lines {lines})" + (f", and so do {more} other ids" if more else ""),
        where=table.place,
        hint="keep one row per item",
    )


def _strings(frame: pl.DataFrame, column: str | None, empty: str | None) -> list[str] | None:
    if column is None:
        return None
    values = frame[column].cast(pl.String)
    return (values if empty is None else values.fill_null(empty)).to_list()


def _categories(frame: pl.DataFrame, column: str | None) -> list[tuple[str, ...]] | None:
    return None if column is None else [tuple(names) for names in split_categories(frame[column]).to_list()]
