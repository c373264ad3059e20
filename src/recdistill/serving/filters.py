"""What may be recommended: small predicates over the items, joined with ``&``, ``|`` and ``~``.

A predicate is a value: equal ones are equal, so a bundle keeps the mask of each one it has met::

    bundle.recommend(history, where=Category("Comedy") & Attribute("stock") & ~Items("17", "18"))

Over HTTP and in files it is JSON, see :func:`parse_filter`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, nearest

if TYPE_CHECKING:
    from .shelf import Shelf

__all__ = ["AllOf", "AnyOf", "Attribute", "Category", "Filter", "Items", "Not", "Rule", "parse_filter"]

Mask = npt.NDArray[np.bool_]
_DEPTH = 8
"""Filters inside filters that :func:`parse_filter` reads."""


class Filter(ABC):
    """Says of every item whether it may come. Filters are hashable."""

    @property
    def names_held(self) -> int:
        """Names and ids in it: what it takes to remember it."""
        return 1

    @abstractmethod
    def mask(self, shelf: Shelf) -> Mask:
        """True where an item may come: bool ``[n_items]``; parts are asked of ``shelf.mask``, which keeps them."""

    def __and__(self, other: Filter) -> Filter:
        return AllOf((self, other))

    def __or__(self, other: Filter) -> Filter:
        return AnyOf((self, other))

    def __invert__(self) -> Filter:
        return Not(self)


@dataclass(frozen=True, slots=True)
class Items(Filter):
    """These items, by id, and no others; with ``~`` a list of what must not come. Unknown ids change nothing."""

    ids: tuple[str, ...]

    def __init__(self, *ids: str) -> None:
        object.__setattr__(self, "ids", ids)

    @property
    def names_held(self) -> int:
        return len(self.ids)

    def mask(self, shelf: Shelf) -> Mask:
        mask = np.zeros(shelf.n_items, dtype=np.bool_)
        at = shelf.items.find(self.ids)
        mask[at[at >= 0]] = True
        return mask


@dataclass(frozen=True, slots=True)
class Category(Filter):
    """Items of one of these categories."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)

    @property
    def names_held(self) -> int:
        return len(self.names)

    def mask(self, shelf: Shelf) -> Mask:
        known = shelf.category_names
        for name in self.names:
            if name not in known:
                raise ConfigError(f"no item has the category {name!r}", key=("category",), hint=nearest(name, known))
        return shelf.of_categories(self.names)


@dataclass(frozen=True, slots=True)
class Attribute(Filter):
    """Items by a number that was attached to them, such as a price or whether they are in stock.

    Without bounds: where it is not 0. NaN, that is unknown, fits no bound.
    """

    name: str
    at_least: float | None = None
    at_most: float | None = None

    def mask(self, shelf: Shelf) -> Mask:
        values = shelf.attribute(self.name)
        mask: Mask = ~np.isnan(values)
        if self.at_least is None and self.at_most is None:
            mask &= values != 0
        if self.at_least is not None:
            mask &= values >= self.at_least
        if self.at_most is not None:
            mask &= values <= self.at_most
        return mask


@dataclass(frozen=True, slots=True)
class Rule(Filter):
    """A rule of your own, given to :meth:`Bundle.add_rule` under this name."""

    name: str

    def mask(self, shelf: Shelf) -> Mask:
        return shelf.rule(self.name)


@dataclass(frozen=True, slots=True)
class AllOf(Filter):
    """Items that every part lets through; without parts: all items."""

    parts: tuple[Filter, ...]

    @property
    def names_held(self) -> int:
        return sum(part.names_held for part in self.parts) + 1

    def mask(self, shelf: Shelf) -> Mask:
        return _joined(np.logical_and, np.ones(shelf.n_items, np.bool_), self.parts, shelf)


@dataclass(frozen=True, slots=True)
class AnyOf(Filter):
    """Items that one of the parts lets through; without parts: none."""

    parts: tuple[Filter, ...]

    @property
    def names_held(self) -> int:
        return sum(part.names_held for part in self.parts) + 1

    def mask(self, shelf: Shelf) -> Mask:
        return _joined(np.logical_or, np.zeros(shelf.n_items, np.bool_), self.parts, shelf)


@dataclass(frozen=True, slots=True)
class Not(Filter):
    """Items that a filter keeps back."""

    part: Filter

    @property
    def names_held(self) -> int:
        return self.part.names_held

    def mask(self, shelf: Shelf) -> Mask:
        return ~shelf.mask(self.part)


def _joined(join: np.ufunc, mask: Mask, parts: tuple[Filter, ...], shelf: Shelf) -> Mask:
    for part in parts:
        join(mask, shelf.mask(part), out=mask)
    return mask


def parse_filter(value: Any, depth: int = 0) -> Filter:
    """A filter from JSON.

    Forms: ``{"all": […]}``, ``{"any": […]}``, ``{"not": …}``, ``{"items": ["17"]}``, ``{"category": ["Comedy"]}``,
    ``{"attribute": "price", "at_least": 1, "at_most": 5}``, ``{"rule": "no sequels"}``.

    Args:
        value: What was read.
        depth: Of filters around it.

    Raises:
        ConfigError: It is none of these, or nested too deeply.
    """
    if depth > _DEPTH:
        raise ConfigError(f"nested more than {_DEPTH} deep", key=("where",))
    if not isinstance(value, Mapping):
        raise ConfigError(f"{value!r:.80} is no filter", key=("where",), hint='write {"category": ["…"]} or the like')
    kind = next((name for name in value if name in _FORMS), None)
    if kind is None:
        name = str(next(iter(value), ""))
        raise ConfigError(f"no filter is called {name!r:.80}", key=("where",), hint=nearest(name, _FORMS))
    further = {"at_least", "at_most"} if kind == "attribute" else set()
    for name in value:
        if name != kind and name not in further:
            hint = 'put several filters into {"all": […]}'
            raise ConfigError(f"{name!r:.80} stands beside {kind!r}", key=("where",), hint=hint)
    content = value[kind]
    if kind in ("all", "any"):
        parts = tuple(parse_filter(part, depth + 1) for part in _list(content, kind, (Mapping,)))
        return AllOf(parts) if kind == "all" else AnyOf(parts)
    if kind == "not":
        return Not(parse_filter(content, depth + 1))
    if kind in ("items", "category"):
        texts = _list(content, kind, (str,))
        return Items(*texts) if kind == "items" else Category(*texts)
    text = _text(content, kind)
    return Rule(text) if kind == "rule" else Attribute(text, _bound(value, "at_least"), _bound(value, "at_most"))


_FORMS = ("all", "any", "not", "items", "category", "attribute", "rule")


def _list(value: Any, kind: str, types: tuple[type, ...]) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(part, types) for part in value):
        what = "filters" if kind in ("all", "any") else "texts"
        raise ConfigError(f"takes a list of {what}, not {value!r:.80}", key=("where", kind))
    return value


def _text(value: Any, kind: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"takes a name, not {value!r:.80}", key=("where", kind))
    return value


def _bound(value: Mapping[str, Any], name: str) -> float | None:
    found = value.get(name)
    if found is None:
        return None
    number = isinstance(found, (int, float)) and not isinstance(found, bool) and found == found  # NaN is not itself
    if not number:
        raise ConfigError(f"takes a number, not {found!r:.80}", key=("where", name))
    try:
        return float(found)
    except OverflowError:
        raise ConfigError("takes a number, and this one is too large", key=("where", name)) from None
