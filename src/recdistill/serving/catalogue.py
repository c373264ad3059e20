"""The item table of a bundle, and how a user's words find an item in it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.dataset import Catalogue
from ..errors import BundleError, DataError

__all__ = ["read_items", "resolve", "write_items"]


def write_items(path: Path, items: Catalogue, popularity: npt.NDArray[np.integer[Any]]) -> None:
    """Write ids, titles, categories and popularity (events of each item), column by column, compressed with zstd."""
    import pyarrow as pa
    from pyarrow import parquet

    columns: dict[str, Any] = {"id": pa.array(list(items.ids), pa.string())}
    if items.titles is not None:
        columns["title"] = pa.array(list(items.titles), pa.string())
    if items.categories is not None:
        columns["categories"] = pa.array([list(names) for names in items.categories], pa.list_(pa.string()))
    columns["popularity"] = pa.array(np.asarray(popularity, dtype=np.int64))
    parquet.write_table(pa.table(columns), path, compression="zstd", compression_level=19)


def read_items(path: Path, n_items: int) -> tuple[Catalogue, npt.NDArray[np.int64]]:
    """The catalogue and the popularity of its items.

    Raises:
        BundleError: The table is broken or has another number of rows.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(path).read()
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
        ids, popularity = columns["id"], np.array(columns["popularity"], dtype=np.int64)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"cannot be read ({error})", where=path, hint="write the bundle again") from None
    if len(ids) != n_items:
        raise BundleError(f"lists {len(ids)} items instead of {n_items}", where=path, hint="write the bundle again")
    categories = columns.get("categories")
    grouped = None if categories is None else [tuple(names or ()) for names in categories]
    return Catalogue(ids=ids, titles=columns.get("title"), categories=grouped), popularity


def resolve(items: Catalogue, text: str) -> int:
    """The index of the item that a user means.

    Tried in turn: an exact id, an exact title, a title without regard to case, the only title that contains the text.

    Raises:
        DataError: Nothing fits, or several titles do; some are named.
    """
    if text in items.ids:
        return items.index(text)
    wanted = text.casefold().strip()
    titles = [title or "" for title in items.titles or ()]
    folded = [title.casefold() for title in titles]
    rules: list[Callable[[int], bool]] = [
        lambda at: titles[at] == text,
        lambda at: folded[at] == wanted,
        lambda at: wanted in folded[at],
    ]
    for fits in rules if wanted else []:
        found = [at for at in range(len(titles)) if fits(at)]
        if len(found) == 1:
            return found[0]
        if found:
            some = ", ".join(repr(f"{titles[at]} [{items.ids[at]}]") for at in found[:3])
            raise DataError(f"{text!r} fits {len(found)} items", hint=f"say which, or give the id: {some}")
    raise DataError(f"no item is called {text!r}", hint=_suggest(wanted, folded, titles, items))


def _suggest(wanted: str, folded: list[str], titles: list[str], items: Catalogue) -> str:
    known = dict(zip(folded, titles, strict=True)) if titles else {item.casefold(): item for item in items.ids}
    # a title is often longer than what is typed: compare with its beginning too
    short = {name[: len(wanted) + 3]: name for name in known}
    close = difflib.get_close_matches(wanted, [*short, *known], n=3, cutoff=0.5)
    names = list(dict.fromkeys(known[short.get(name, name)] for name in close))
    return f"did you mean {' or '.join(map(repr, names))}?" if names else "give an item id or a part of a title"
