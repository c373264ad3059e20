"""What is known about every item while a bundle is served: names, numbers attached later, and which may come."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, nearest
from .catalogue import ItemTable, StoredItems
from .filters import Filter
from .search import TextIndex

__all__ = ["Shelf"]

Mask = npt.NDArray[np.bool_]
RuleFunction = Callable[["Shelf"], npt.ArrayLike]
_MASK_BYTES = 32 << 20
"""Memory for the masks of filters that were asked for before."""
_MASKS = 256
"""Of them, at most."""
_NAMES = 64
"""Names in a filter whose mask is kept; longer lists are of one user, and hardly come again."""


class Shelf:
    """The items of a bundle. Safe to be read and changed from several threads.

    Args:
        table: What the bundle says about its items.

    Attributes:
        items: Ids, titles, categories.
        popularity: int64 ``[n_items]``.
        trend: float32 ``[n_items]`` or None.
    """

    def __init__(self, table: ItemTable) -> None:
        self.items: StoredItems = table.items
        self.popularity, self.trend = table.popularity, table.trend
        self._attributes: dict[str, npt.NDArray[np.float64]] = {}
        self._rules: dict[str, RuleFunction] = {}
        self._masks: OrderedDict[Filter, Mask] = OrderedDict()
        self._index: TextIndex | None = None
        self._newest: TextIndex | None = None
        """Of the items that came after the index was made."""
        self._lock, self._indexing = threading.RLock(), threading.Lock()

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.items)

    def grown(self, item: str, title: str, categories: Sequence[str]) -> Shelf:
        """The shelf with one item more, of no events and without numbers; this one stays as it is."""
        with self._lock:
            trend = None if self.trend is None else np.append(self.trend, np.float32(0))
            items = self.items.grown(item, title, categories)
            shelf = Shelf(ItemTable(items, np.append(self.popularity, 0), trend))
            shelf._attributes = {name: np.append(values, np.nan) for name, values in self._attributes.items()}
            shelf._rules, shelf._index = dict(self._rules), self._index
            return shelf

    def search(self, text: str) -> npt.NDArray[np.float32]:
        """How well title and categories of each item fit a text: float32 ``[n_items]``, 0 where no word does."""
        with self._indexing:  # its own: masks are not to wait for it
            if self._index is None:
                self._index = TextIndex(map(self._text, range(self.n_items)))
            if self._newest is None:
                self._newest = TextIndex(map(self._text, range(self._index.n_items, self.n_items)))
        return np.concatenate([self._index.scores(text), self._newest.scores(text)])

    def _text(self, at: int) -> str:
        categories = () if self.items.categories is None else self.items.categories[at]
        return " ".join((self.items.title(at), *categories))

    def mask(self, wanted: Filter) -> Mask:
        """Which items a filter lets through: bool ``[n_items]``, not to be changed.

        Raises:
            ConfigError: It names a category, attribute or rule that does not exist.
        """
        with self._lock:
            found = self._masks.get(wanted)
            if found is not None:
                self._masks.move_to_end(wanted)
                return found
            mask = wanted.mask(self)
            mask.flags.writeable = False
            if wanted.names_held <= _NAMES:
                self._masks[wanted] = mask
            while len(self._masks) > max(1, min(_MASKS, _MASK_BYTES // max(self.n_items, 1))):
                self._masks.popitem(last=False)
            return mask

    @property
    def category_names(self) -> frozenset[str]:
        """All categories."""
        categories = self.items.categories
        return frozenset() if categories is None else categories.names

    def of_categories(self, names: Iterable[str]) -> Mask:
        """Items of one of these categories: bool ``[n_items]``."""
        assert self.items.categories is not None
        return self.items.categories.any_of(names)

    def attach(self, name: str, values: npt.ArrayLike | Mapping[str, float], default: float = np.nan) -> None:
        """Give every item a number, or change some: a price, a stock flag, an age rating.

        Args:
            name: What :class:`~recdistill.serving.filters.Attribute` calls it.
            values: ``[n_items]`` in the order of the catalogue, or by id; unknown ids are left out.
            default: For items without a number, if the name is new.

        Raises:
            ConfigError: Another number of values than of items.
        """
        with self._lock:
            if isinstance(values, Mapping):
                known = self._attributes.get(name)
                array = np.full(self.n_items, default) if known is None else known.copy()
                at = self.items.find(list(values))
                array[at[at >= 0]] = np.array(list(values.values()), dtype=np.float64)[at >= 0]
            else:
                array = np.array(values, dtype=np.float64)
            if array.shape != (self.n_items,):
                raise ConfigError(f"{array.shape} values for {self.n_items:,} items", key=("attribute", name))
            self._attributes[name] = array
            self._masks.clear()

    def attribute(self, name: str) -> npt.NDArray[np.float64]:
        """The numbers attached under a name: float64 ``[n_items]``.

        Raises:
            ConfigError: Nothing was attached under this name.
        """
        if name not in self._attributes:
            hint = nearest(name, self._attributes) or "attach it first"
            raise ConfigError(f"no attribute is called {name!r:.80}", key=("attribute",), hint=hint)
        return self._attributes[name]

    def add_rule(self, name: str, rule: RuleFunction) -> None:
        """Name a rule of the business.

        Args:
            name: What :class:`~recdistill.serving.filters.Rule` calls it.
            rule: Gets this shelf, gives bool ``[n_items]``; asked again only after something was attached or added.
        """
        with self._lock:
            self._rules[name] = rule
            self._masks.clear()

    def rule(self, name: str) -> Mask:
        """The mask of a rule.

        Raises:
            ConfigError: No such rule, or it gives no mask.
        """
        if name not in self._rules:
            hint = nearest(name, self._rules) or "add it first"
            raise ConfigError(f"no rule is called {name!r:.80}", key=("rule",), hint=hint)
        mask: npt.NDArray[Any] = np.array(self._rules[name](self))
        if mask.shape != (self.n_items,) or mask.dtype != np.bool_:
            raise ConfigError(f"gave {mask.dtype} {mask.shape}, not bool ({self.n_items},)", key=("rule", name))
        return mask
