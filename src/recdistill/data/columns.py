"""Which column means what: guessed from names, then from contents; overridden by the user."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import polars as pl

from ..errors import DataError, nearest
from .tables import Table, scan

__all__ = ["ITEM_ROLES", "LOG_ROLES", "guess_columns", "resolve_columns"]

LOG_ROLES = ("user", "item", "time", "rating", "type", "weight")
"""What a column of an interaction log can be."""
ITEM_ROLES = ("item", "title", "categories", "image")
"""What a column of an item table can be."""

_NAMES = {
    "user": "userid user uid reviewerid customerid customer memberid member visitorid visitor accountid account"
    " personid profileid clientid client buyerid username authorid sessionid session",
    "item": "itemid item iid movieid movie productid product parentasin asin artistid artist trackid track songid song"
    " bookid book isbn newsid news articleid article sku businessid contentid videoid video goodsid poiid venueid"
    " gameid game appid recipeid adid postid documentid docid id",
    "time": "timestamp time ts datetime date unixreviewtime unixtime createdat eventtime eventtimestamp ratedat"
    " reviewtime reviewdate utctime playedat epoch when trank",
    "rating": "rating ratings score stars overall rate ratingvalue reviewscore grade",
    "type": "type event eventtype behavior behaviour behaviortype behaviourtype action actiontype interaction"
    " interactiontype",
    "weight": "weight count playcount plays listencount quantity frequency freq views clicks",
    "title": "title movietitle itemtitle producttitle booktitle name productname itemname productdisplayname artistname"
    " trackname gamename headline",
    "categories": "genres genre categories category class maincategory toptags tags tag topics topic articletype",
    "image": "image imageurl imagepath images imurl imgurl img poster posterurl picture photo thumbnail cover",
}
_WORDS = {role: {name: place for place, name in enumerate(names.split())} for role, names in _NAMES.items()}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_TIMES = frozenset({"at", "date", "datetime", "day", "on", "time", "timestamp", "ts"})
"""Last words of names of times that are compounds."""
_EPOCH = 100_000_000
"""Numbers from here on look like seconds since 1970 (1973 or later), and no rating or count does."""


def guess_columns(table: Any, roles: Sequence[str] | None = None) -> dict[str, str]:
    """Say which column plays which role, by name first and by contents where names tell nothing.

    Args:
        table: Anything that :func:`recdistill.data.read` takes as a table, or just a list of column names.
        roles: What to look for; by default everything in ``LOG_ROLES`` and ``ITEM_ROLES``.

    Returns:
        ``{role: column}`` for the roles that were found; a table with a ``"user"`` is an interaction log.
    """
    wanted = tuple(dict.fromkeys((*LOG_ROLES, *ITEM_ROLES))) if roles is None else tuple(roles)
    if isinstance(table, list) and all(isinstance(name, str) for name in table):
        return _by_name(table, wanted)
    opened = scan(table)
    found = _by_name(opened.columns, wanted)
    if {"user", "item"} <= set(wanted) and not {"user", "item", "title"} & set(found):
        found = _by_contents(opened, found)
    if "time" in wanted and "time" not in found and "user" in found:
        found = _time_of_both(opened, found)
    return {role: found[role] for role in wanted if role in found}


def resolve_columns(
    table: Table, roles: Sequence[str], given: Mapping[str, str | None] | None, required: Sequence[str]
) -> dict[str, str]:
    """The guess, corrected by what the user said.

    Args:
        table: Its columns are looked at.
        roles: The roles there are.
        given: ``{role: column}``; a role set to None is left out although it could be guessed.
        required: Roles that must be found.

    Raises:
        DataError: An unknown role, a column that is not there, or a required role without a column.
    """
    given = dict(given or {})
    columns = table.columns
    for role, column in given.items():
        if role not in roles:
            raise DataError(f"no column role is called {role!r}", where=table.place, hint=nearest(role, roles))
        if column is not None and column not in columns:
            raise DataError(f"no column {column!r}", where=table.place, hint=nearest(column, columns))
    said = {role: column for role, column in given.items() if column is not None}
    guess = {} if set(required) <= set(said) and set(roles) == set(given) else guess_columns(table, roles)
    free = {r: c for r, c in guess.items() if r not in given and c not in said.values()}
    found = {**free, **said}
    for role in required:
        if role not in found:
            key, closest = "columns" if "user" in roles else "item_columns", _closest(role, columns)
            option = f"--{key.removesuffix('s').replace('_', '-')} {role}={closest}"
            raise DataError(
                f"no column looks like the {role} (there are: {', '.join(columns)})",
                where=table.place,
                hint=f'say which: {key}={{"{role}": "{closest}"}}, or {option}',
            )
    return {role: found[role] for role in roles if role in found}


def _by_name(columns: Sequence[str], roles: Sequence[str]) -> dict[str, str]:
    """For each role the column whose name stands earliest in the role's list."""
    found: dict[str, str] = {}
    for role in roles:
        words = _WORDS[role]
        known = [(words[_plain(c)], c) for c in columns if _plain(c) in words and c not in found.values()]
        if known:
            found[role] = min(known, key=lambda pair: pair[0])[1]
    return found


def _closest(role: str, columns: Sequence[str]) -> str:
    """The column whose name is most like a name of the role."""
    likeness = {c: max(SequenceMatcher(None, _plain(c), word).ratio() for word in _WORDS[role]) for c in columns}
    return max(likeness, key=lambda c: likeness[c], default="NAME")


def _plain(name: str) -> str:
    """``user_id:token``, ``UserID`` and ``user id`` are the same name."""
    return re.sub(r"[^a-z0-9]", "", name.partition(":")[0].lower())


def _by_contents(table: Table, found: dict[str, str]) -> dict[str, str]:
    """Time: the last column of dates or of numbers like seconds since 1970. User, item, rating: the next that fit."""
    head = table.collect(pl.all().head(1000))
    free = [column for column in head.columns if column not in found.values()]
    times = [column for column in free if _is_time(head[column].drop_nulls())]
    order = {"time": times[-1:], "user": free, "item": free, "rating": [c for c in free if _is_rating(head[c])]}
    for role, candidates in order.items():
        left = [column for column in candidates if column not in found.values()]
        if role not in found and left:
            found = {**found, role: left[0]}
    return found


def _time_of_both(table: Table, found: dict[str, str]) -> dict[str, str]:
    """``bought_at`` or ``orderDate``: the name ends like a time, and so it looks. Either alone may be chance."""
    named = [name for name in table.columns if name not in found.values() and _WORD.findall(name)[-1:]]
    named = [name for name in named if _WORD.findall(name)[-1].lower() in _TIMES]
    head = table.collect(pl.col(named).head(1000)) if named else pl.DataFrame()
    like = [name for name in named if _is_time(head[name].drop_nulls())]
    return {**found, "time": like[0]} if len(like) == 1 else found


def _is_time(values: pl.Series) -> bool:
    if values.dtype.is_temporal() or not len(values):
        return values.dtype.is_temporal()
    numbers = values.cast(pl.Float64, strict=False)
    if not numbers.null_count():
        return float(numbers.min()) >= _EPOCH  # type: ignore[arg-type]
    return values.dtype == pl.String and bool(values.str.contains(r"^\d{4}-\d\d-\d\d").all())


def _is_rating(values: pl.Series) -> bool:
    """Few different numbers between 0 and 100."""
    if values.dtype.is_temporal() or not len(values):
        return False
    numbers = values.cast(pl.Float64, strict=False)
    small = numbers.is_between(0, 100).all(ignore_nulls=False)
    return bool(small) and numbers.n_unique() <= 21
