"""A bundle at work: recommendations from a history, similar items, search, scores for an evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.dataset import Contexts
from ..data.sequences import Sequences
from ..errors import BundleError
from .catalogue import StoredItems, read_items, resolve
from .diversity import Diversity
from .filters import Filter
from .manifest import Manifest
from .place import Place
from .scorers import SCORERS, Scorer
from .search import TextIndex
from .shelf import RuleFunction, Shelf
from .tables import Found, Wanted

__all__ = ["Asked", "Bundle", "Recommendation"]

Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One recommended item: its id, its title (or id), and its score; scores compare only within one answer."""

    item: str
    title: str
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question, with indices into the catalogue; see :meth:`Bundle.recommend`.

    Attributes:
        history: int64 ``[any]``, oldest first; empty: the popular items.
        n: Items, at most.
        exclude_history: Leave out what is in the history.
        deny: int64 ``[any]``, items that must not come.
        where: Which items may come.
        diversity: How the list is made more varied.
    """

    history: Indices
    n: int = 10
    exclude_history: bool = True
    deny: Indices | None = None
    where: Filter | None = None
    diversity: Diversity | None = None

    @property
    def hidden(self) -> Indices | None:
        """Items that must not come: int64 ``[any]``."""
        parts = (self.history if self.exclude_history else None, self.deny)
        hidden = [part for part in parts if part is not None and len(part)]
        return np.concatenate(hidden) if hidden else None


class Bundle:
    """A bundle in memory. Make one with :meth:`open`. May be asked from several threads.

    Attributes:
        place: Where its files are.
        manifest: What it says about itself.
        shelf: What is known about its items.
    """

    def __init__(self, place: Place, manifest: Manifest, shelf: Shelf, scorer: Scorer) -> None:
        self.place, self.manifest, self.shelf = place, manifest, shelf
        self._scorer = scorer

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = True) -> Bundle:
        """Open a bundle; its arrays are mapped, not read.

        Args:
            path: A directory written by ``write_bundle``, or an archive of one.
            verify: Compare the checksum of every file first.

        Raises:
            BundleError: It is no bundle, of another version, or was truncated or changed.
            MissingExtraError: ONNX Runtime is needed and not installed.
        """
        place = Place.open(path)
        manifest = Manifest.read(place, verify=verify)
        if manifest.kind not in SCORERS:
            raise BundleError(f"unknown kind {manifest.kind!r}", where=place.path, hint="upgrade recdistill")
        shelf = Shelf(read_items(place, manifest.n_items))
        return cls(place, manifest, shelf, SCORERS[manifest.kind](place, manifest))

    @property
    def path(self) -> Path:
        """Its directory or archive."""
        return self.place.path

    @property
    def items(self) -> StoredItems:
        """The catalogue."""
        return self.shelf.items

    @property
    def popularity(self) -> npt.NDArray[np.int64]:
        """int64 ``[n_items]``, events of each item in the data it was made from."""
        return self.shelf.popularity

    @property
    def n_items(self) -> int:
        """Catalogue size."""
        return self.shelf.n_items

    @cached_property
    def size_bytes(self) -> int:
        """Size on disk: the sum of all files."""
        return sum(self.place.sizes.values())

    @cached_property
    def fingerprint(self) -> str:
        """Hash over the manifest, which holds the checksum of every file: 16 hex digits."""
        return hashlib.sha256(self.place.read("manifest.json")).hexdigest()[:16]

    @cached_property
    def card(self) -> dict[str, Any]:
        """The model card."""
        card: dict[str, Any] = json.loads(bytes(self.place.read("card.json")))
        return card

    def recommend(
        self,
        history: Sequence[str] = (),
        n: int = 10,
        *,
        exclude_history: bool = True,
        deny: Iterable[str] = (),
        where: Filter | None = None,
        diversity: Diversity | None = None,
    ) -> list[Recommendation]:
        """Items for somebody with this history.

        Args:
            history: Item ids or titles, oldest first; see :func:`~.serving.resolve`. Empty: the popular items.
            n: How many, at most.
            exclude_history: Leave out what is in the history.
            deny: Ids or titles that must not come.
            where: Which items may come.
            diversity: How the list is made more varied.

        Raises:
            DataError: A name that fits no item, or several.
            ConfigError: The filter names what does not exist.
        """
        seen, denied = self.indices(history), self.indices(list(deny))
        settings: dict[str, Any] = {"exclude_history": exclude_history, "where": where, "diversity": diversity}
        return self.named(*self.recommend_indices(seen, n, deny=denied, **settings))

    def recommend_indices(
        self,
        history: Indices,
        n: int = 10,
        *,
        exclude_history: bool = True,
        deny: Indices | None = None,
        where: Filter | None = None,
        diversity: Diversity | None = None,
    ) -> Found:
        """The same with indices into the catalogue: items int64 ``[m]`` and scores float32 ``[m]``, best first."""
        asked = Asked(history, n, exclude_history, deny, where, diversity)
        if len(history):
            return self._answer(partial(self._scorer.best, history), n, asked.hidden, where, diversity)
        return self._answer(self._most_popular, n, asked.hidden, where, diversity)

    def recommend_each(self, asked: Sequence[Asked]) -> list[Found]:
        """Answers to several questions, as :meth:`recommend_indices` gives them; context vectors are made together.

        Raises:
            ConfigError: A filter names what does not exist.
        """
        known = [one for one in asked if len(one.history)]
        together: Iterator[Found] = iter(())
        wanted = [self._wanted(one.n, one.hidden, one.where, one.diversity) for one in asked]
        if known:
            lengths = np.cumsum([0, *(len(one.history) for one in known)])
            histories = Sequences(lengths, np.concatenate([one.history for one in known]).astype(np.int32))
            rows = [row for one, row in zip(asked, wanted, strict=True) if len(one.history)]
            together = iter(self._scorer.best_each(histories, rows))
        found = [
            next(together) if len(one.history) else self._most_popular(row)
            for one, row in zip(asked, wanted, strict=True)
        ]
        return [self._varied(pool, one.n, one.diversity) for one, pool in zip(asked, found, strict=True)]

    def _most_popular(self, wanted: Wanted) -> Found:
        return wanted.best(self.popularity.astype(np.float32))

    def similar(
        self, item: str, n: int = 10, *, where: Filter | None = None, diversity: Diversity | None = None
    ) -> list[Recommendation]:
        """Items like this one, by the geometry of the bundle.

        Raises:
            DataError: A name that fits no item, or several.
            BundleError: A popularity bundle knows no similarity.
            ConfigError: The filter names what does not exist.
        """
        index = resolve(self.items, item)
        found = self._answer(partial(self._scorer.similar, index), n, np.array([index]), where, diversity)
        return self.named(*found)

    def popular(
        self, n: int = 10, *, trending: bool = False, where: Filter | None = None, diversity: Diversity | None = None
    ) -> list[Recommendation]:
        """The items with the most events in the data it was made from.

        Args:
            n: How many, at most.
            trending: Recent events weigh more.
            where: Which items may come.
            diversity: How the list is made more varied.

        Raises:
            BundleError: Trending, and the log had no time.
            ConfigError: The filter names what does not exist.
        """
        counts = self.shelf.trend if trending else self.popularity
        if counts is None:
            raise BundleError("the log had no time, so nothing is known about trends", hint="ask for what is popular")
        scores = counts.astype(np.float32)
        return self.named(*self._answer(lambda wanted: wanted.best(scores), n, None, where, diversity))

    def search(self, text: str, n: int = 10, *, where: Filter | None = None) -> list[Recommendation]:
        """Items whose title or categories hold words of a text, the best first; more popular ones before others alike.

        Raises:
            ConfigError: The filter names what does not exist.
        """
        scores = self._index.scores(text)
        found = scores > 0
        # less than any two scores differ by, so that it only decides between equal ones
        scores += 1e-4 * np.log1p(self.popularity.astype(np.float32)) / np.log1p(self.popularity.max(initial=1))
        scores[~found] = -np.inf
        return self.named(*self._answer(lambda wanted: wanted.best(scores), n, None, where, None))

    def attach(self, name: str, values: npt.ArrayLike | Mapping[str, float]) -> None:
        """Give the items a number that filters can ask for; see :meth:`Shelf.attach`."""
        self.shelf.attach(name, values)

    def add_rule(self, name: str, rule: RuleFunction) -> None:
        """Name a rule of the business that filters can ask for; see :meth:`Shelf.add_rule`."""
        self.shelf.add_rule(name, rule)

    def score(self, contexts: Contexts) -> Floats:
        """Scores of all items, as a ranking model gives them: float32 ``[len(contexts), n_items]``."""
        if not len(contexts):
            return np.zeros((0, self.n_items), dtype=np.float32)
        scores = self._scorer.batch(contexts.history)
        scores[contexts.history.lengths == 0] = self.popularity
        return scores

    def indices(self, names: Sequence[str]) -> Indices:
        """Indices of items by id, title or an unmistakable part of one: int64 ``[n]``.

        Raises:
            DataError: A name that fits no item, or several.
        """
        found = self.items.find(names)
        for at in np.flatnonzero(found < 0).tolist():
            found[at] = resolve(self.items, names[at])
        return found

    def named(self, items: Indices, scores: Floats) -> list[Recommendation]:
        """Indices and scores as recommendations."""
        return [
            Recommendation(self.items.ids[at], self.items.title(at), float(score))
            for at, score in zip(items.tolist(), scores, strict=True)
        ]

    def _answer(
        self,
        best: Callable[[Wanted], Found],
        n: int,
        hidden: Indices | None,
        where: Filter | None,
        diversity: Diversity | None,
    ) -> Found:
        """The best items that a filter lets through, made more varied."""
        return self._varied(best(self._wanted(n, hidden, where, diversity)), n, diversity)

    def _wanted(self, n: int, hidden: Indices | None, where: Filter | None, diversity: Diversity | None) -> Wanted:
        """What a scorer is asked for: the list, or the pool that it is chosen from."""
        allowed = None if where is None else self.shelf.mask(where)
        return Wanted(n if diversity is None else max(diversity.pool, n), allowed, hidden)

    def _varied(self, found: Found, n: int, diversity: Diversity | None) -> Found:
        if diversity is None:
            return found
        items, scores = found
        categories = None
        if diversity.per_category is not None and self.items.categories is not None:
            categories = [self.items.categories[at] for at in items.tolist()]
        vectors = self._scorer.vectors_of(items) if diversity.weight else None
        chosen = diversity.choose(scores, n, vectors, categories)
        return items[chosen], scores[chosen]

    @cached_property
    def _index(self) -> TextIndex:
        titles, categories = self.items.titles, self.items.categories
        rows = range(self.n_items)
        return TextIndex(
            f"{titles[at] if titles else self.items.ids[at]} {' '.join(categories[at]) if categories else ''}"
            for at in rows
        )
