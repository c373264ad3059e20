"""The item table of a bundle, and how a user's words find an item in it."""

from __future__ import annotations

import difflib
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.dataset import Catalogue
from ..errors import BundleError, DataError
from .place import Place
from .strings import Strings, Tags

__all__ = ["ItemTable", "StoredItems", "load_arrays", "read_items", "resolve", "write_items"]

_FILE = "items.npz"
_SUGGESTED = 20_000
"""Items up to which the nearest name is looked for: comparing with every one takes a second for each 100,000."""
_WITH_ARTICLE = re.compile(
    r"(?P<article>an?|the|das|de[rn]|die|el|il|l[aeo]|las|les|los|une?) (?P<rest>.+?)(?P<year> \(\d{4}\))?"
)
"""A title that catalogues sort by its second word."""


@dataclass(frozen=True, eq=False)
class StoredItems(Catalogue):
    """The catalogue of a bundle: ids and titles become Python strings when somebody asks for them."""

    ids: Strings
    titles: Strings | None = None
    categories: Tags | None = None

    def find(self, ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Indices of some ids: int64 ``[n]``, -1 where there is no such item."""
        return self.ids.find(ids)

    def grown(self, item: str, title: str, categories: Sequence[str]) -> StoredItems:
        """The catalogue with one item more."""
        return StoredItems(
            self.ids.grown(item),
            titles=None if self.titles is None else self.titles.grown(title),
            categories=None if self.categories is None else self.categories.grown(tuple(categories)),
        )

    @cached_property
    def folded(self) -> list[str]:
        """Titles without regard to case, for the search by a part of one."""
        return [title.casefold().strip() for title in self.titles or ()]

    def index(self, item: str) -> int:
        place = int(self.find([item])[0])
        if place < 0:
            close = difflib.get_close_matches(item, self.ids, n=1) if len(self) <= _SUGGESTED else []
            hint = f"did you mean {close[0]!r}?" if close else None
            raise DataError(f"item {item!r} is not in the catalogue", hint=hint)
        return place


@dataclass(frozen=True, slots=True, eq=False)
class ItemTable:
    """What a bundle knows about its items.

    Attributes:
        items: Ids, titles, categories.
        popularity: int64 ``[n]``, events of each item in the data it was made from.
        trend: float32 ``[n]``, the same with recent events weighing more; None where the log had no time.
    """

    items: StoredItems
    popularity: npt.NDArray[np.int64]
    trend: npt.NDArray[np.float32] | None = None


def write_items(
    directory: Path,
    items: Catalogue,
    popularity: npt.NDArray[np.integer[Any]],
    trend: npt.NDArray[np.floating[Any]] | None = None,
) -> None:
    """Write ``items.npz``: arrays of ids, titles, categories, popularity and trend, compressed."""
    columns = Strings.pack(items.ids).arrays("id")
    if items.titles is not None:
        columns |= Strings.pack(title or "" for title in items.titles).arrays("title")
    if items.categories is not None:
        columns |= Tags.pack(items.categories).arrays("category")
    columns["popularity"] = np.asarray(popularity, dtype=np.int64)
    if trend is not None:
        columns["trend"] = np.asarray(trend, dtype=np.float32)
    np.savez_compressed(directory / _FILE, allow_pickle=False, **columns)


def read_items(place: Place, n_items: int) -> ItemTable:
    """Read what :func:`write_items` wrote.

    Raises:
        BundleError: The table is broken or has another number of rows.
    """
    where = place.where(_FILE)
    arrays = load_arrays(place, _FILE)
    try:
        ids, popularity = Strings.read(arrays, "id"), arrays["popularity"].astype(np.int64)
        titles = Strings.read(arrays, "title") if "title" in arrays else None
        tags = Tags.read(arrays, "category") if "category_codes" in arrays else None
        trend = arrays["trend"].astype(np.float32) if "trend" in arrays else None
    except (KeyError, ValueError, UnicodeDecodeError) as error:
        raise BundleError(f"cannot be read ({error})", where=where, hint="write the bundle again") from None
    for column in (ids, popularity, titles, tags, trend):
        if column is not None and len(column) != n_items:
            raise BundleError(f"lists {len(column)} items instead of {n_items}", where=where, hint="copy it again")
    return ItemTable(StoredItems(ids=ids, titles=titles, categories=tags), popularity, trend)


def load_arrays(place: Place, name: str) -> Mapping[str, npt.NDArray[Any]]:
    """The arrays of an ``.npz`` file, read; never unpickles.

    Raises:
        BundleError: It is no such file.
    """
    try:
        stored = np.load(BytesIO(place.whole(name)), allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ValueError("no archive of arrays")
        with stored:
            return dict(stored)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise BundleError(f"cannot be read ({error})", where=place.where(name), hint="write the bundle again") from None


def resolve(items: Catalogue, text: str) -> int:
    """The index of the item that a user means.

    Tried in turn: an exact id, an exact title, a title without regard to case, the only title that contains the text,
    the only one that begins with it where the article stands behind: ``The Matrix`` is ``Matrix, The (1999)``.

    Raises:
        DataError: Nothing fits, or several titles do; some are named.
    """
    if (place := _by_id(items, text)) >= 0:
        return place
    wanted = text.casefold().strip()
    titles, folded = items.titles or (), _folded(items)
    rules: list[Callable[[int], bool]] = [
        lambda at: folded[at] == wanted and titles[at] == text,
        lambda at: folded[at] == wanted,
        lambda at: wanted in folded[at],
    ]
    if (parts := _WITH_ARTICLE.fullmatch(wanted)) is not None:
        sorted_as = f"{parts['rest']}, {parts['article']}{parts['year'] or ''}"
        rules.append(lambda at: folded[at].startswith(sorted_as))
    for fits in rules if wanted else []:
        found = [at for at in range(len(folded)) if fits(at)]
        if len(found) == 1:
            return found[0]
        if found:
            some = ", ".join(repr(f"{titles[at]} [{items.ids[at]}]") for at in found[:3])
            raise DataError(f"{text!r} fits {len(found)} items", hint=f"say which, or give the id: {some}")
    raise DataError(f"no item is called {text!r}", hint=_suggest(wanted, folded, titles, items))


def _by_id(items: Catalogue, text: str) -> int:
    if isinstance(items, StoredItems):
        return int(items.find([text])[0])
    return items.index(text) if text in items.ids else -1


def _folded(items: Catalogue) -> Sequence[str]:
    """Titles without regard to case; those of a bundle are kept for the next question."""
    if isinstance(items, StoredItems):
        return items.folded
    return [(title or "").casefold().strip() for title in items.titles or ()]


def _suggest(wanted: str, folded: Sequence[str], titles: Sequence[str], items: Catalogue) -> str:
    if len(items) > _SUGGESTED:
        return "give an item id or a part of a title"
    known = dict(zip(folded, titles, strict=True)) if titles else {item.casefold(): item for item in items.ids}
    # a title is often longer than what is typed: compare with its beginning too
    short = {name[: len(wanted) + 3]: name for name in known}
    close = difflib.get_close_matches(wanted, [*short, *known], n=3, cutoff=0.5)
    names = list(dict.fromkeys(known[short.get(name, name)] for name in close))
    return f"did you mean {' or '.join(map(repr, names))}?" if names else "give an item id or a part of a title"
