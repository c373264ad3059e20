"""Item text from a template such as ``"{title}. {genres}"``."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

import polars as pl

from ..errors import DataError, nearest

__all__ = ["guess_template", "render", "split_categories"]

_NO_CATEGORY = ("", "(no genres listed)", "unknown")
_SEPARATORS = ("|", ";", ",")


def guess_template(columns: Mapping[str, str]) -> str | None:
    """Title and categories, as far as the table has them; None where it has neither."""
    parts = [f"{{{columns[role]}}}" for role in ("title", "categories") if role in columns]
    return ". ".join(parts) or None


def render(frame: pl.DataFrame, template: str, columns: Mapping[str, str], place: str = "template") -> list[str]:
    """Fill the template for every row.

    Args:
        frame: The item table.
        template: ``{column}`` stands for a column; the roles ``{title}`` and ``{categories}`` also work whatever the
            columns are called; ``{{`` is a brace. Nothing else is interpreted.
        columns: ``{role: column}``.
        place: For messages.

    Returns:
        One text per row; missing values are left out, lists and ``|`` become ", ".

    Raises:
        DataError: A placeholder that is no column (the nearest is named), or a broken template.
    """
    parts: list[pl.Expr] = []
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise DataError(
            f"broken text template {template!r} ({error})", where=place, hint="write {{ for a brace"
        ) from None
    for literal, name, spec, conversion in parsed:
        parts.append(pl.lit(literal))
        if name is None:
            continue
        column = name if name in frame.columns else columns.get(name)
        if column is None or spec or conversion:
            raise DataError(
                f"unknown placeholder {{{name}}} in the text template", where=place, hint=nearest(name, frame.columns)
            )
        parts.append(_readable(frame, column, column == columns.get("categories")))
    text = pl.concat_str(parts).str.replace_all(r"\s+", " ").str.strip_chars()
    return frame.select(text.alias("text") if parsed else pl.lit("").repeat_by(1)).to_series().to_list()


def split_categories(values: pl.Series) -> pl.Series:
    """Lists of category names from lists or from text separated by ``|``, ``;`` or ``,``."""
    if isinstance(values.dtype, (pl.List, pl.Array)):
        return values.cast(pl.List(pl.String)).list.drop_nulls()
    text = values.cast(pl.String).fill_null("")
    separator = next((s for s in _SEPARATORS if text.str.contains(s, literal=True).any()), "|")
    names = text.str.split(separator).list.eval(pl.element().str.strip_chars())
    return names.list.eval(pl.element().filter(~pl.element().is_in(_NO_CATEGORY)))


def _readable(frame: pl.DataFrame, column: str, categories: bool) -> pl.Expr:
    values = frame[column]
    if categories or isinstance(values.dtype, (pl.List, pl.Array)):
        return pl.lit(split_categories(values).list.join(", "))
    return pl.lit(values.cast(pl.String).fill_null("").str.replace_all("|", ", ", literal=True))
