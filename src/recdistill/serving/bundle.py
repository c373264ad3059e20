"""A bundle at work: recommendations for a user or a history, similar items, search, items that came later."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..data.dataset import Contexts
from ..data.sequences import Sequences
from ..errors import BundleError, DataError
from .catalogue import StoredItems, read_items, resolve
from .diversity import Diversity
from .filters import Filter
from .manifest import Manifest
from .pictures import Pictures
from .place import Place
from .scorers import SCORERS, Scorer
from .shelf import RuleFunction, Shelf
from .tables import Found, Wanted
from .tower import Tower
from .users import Users

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
        user: Id of a user whose stored history comes first.
    """

    history: Indices
    n: int = 10
    exclude_history: bool = True
    deny: Indices | None = None
    where: Filter | None = None
    diversity: Diversity | None = None
    user: str | None = None


class _State(NamedTuple):
    """What changes together when an item is added; a question works with one state from beginning to end."""

    shelf: Shelf
    scorer: Scorer


class Bundle:
    """A bundle in memory. Make one with :meth:`open`. May be asked and changed from several threads.

    Attributes:
        place: Where its files are.
        manifest: What it says about itself.
        users: The users it knows, or None.
        tower: From a text to a vector, or None.
        pictures: Of the items, or None.
    """

    def __init__(
        self,
        place: Place,
        manifest: Manifest,
        shelf: Shelf,
        scorer: Scorer,
        users: Users | None = None,
        tower: Tower | None = None,
        pictures: Pictures | None = None,
    ) -> None:
        self.place, self.manifest = place, manifest
        self.users, self.tower, self.pictures = users, tower, pictures
        self._state = _State(shelf, scorer)
        self._changing = threading.Lock()

    def __repr__(self) -> str:
        return f"<Bundle {str(self.path)!r}: {self.manifest.model}, {self.n_items:,} items>"

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
        scorer = SCORERS[manifest.kind](place, manifest)
        tower = Tower.open(place)
        if tower is not None and len(tower.mean) != scorer.text_width:
            what = f"the text tower gives {len(tower.mean)} numbers, the scores need {scorer.text_width}"
            raise BundleError(what, where=place.path, hint="write the bundle again")
        users, pictures = Users.open(place, manifest), Pictures.open(place, manifest.n_items)
        return cls(place, manifest, shelf, scorer, users, tower, pictures)

    @property
    def path(self) -> Path:
        """Its directory or archive."""
        return self.place.path

    @property
    def shelf(self) -> Shelf:
        """What is known about its items now."""
        return self._state.shelf

    @property
    def scorer(self) -> Scorer:
        """How a history becomes scores."""
        return self._state.scorer

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
        user: str | None = None,
        exclude_history: bool = True,
        deny: Iterable[str] = (),
        where: Filter | None = None,
        diversity: Diversity | None = None,
    ) -> list[Recommendation]:
        """Items for somebody.

        Args:
            history: Item ids or titles, oldest first; see :func:`~.serving.resolve`. Empty: the popular items.
            n: How many, at most.
            user: Id of a user. What the bundle keeps of a known one comes before ``history``; a new one has only that.
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
        return self.named(*self.recommend_indices(seen, n, user=user, deny=denied, **settings))

    def recommend_indices(
        self,
        history: Indices,
        n: int = 10,
        *,
        user: str | None = None,
        exclude_history: bool = True,
        deny: Indices | None = None,
        where: Filter | None = None,
        diversity: Diversity | None = None,
    ) -> Found:
        """The same with indices into the catalogue: items int64 ``[m]`` and scores float32 ``[m]``, best first."""
        state, asked = self._state, Asked(history, n, exclude_history, deny, where, diversity, user)
        history, vector = self._known(asked)
        wanted = _wanted(state, n, _hidden(asked, history), where, diversity)
        return _varied(state, _best(state, history, vector, wanted), n, diversity)

    def recommend_each(self, asked: Sequence[Asked]) -> list[Found]:
        """Answers to several questions, as :meth:`recommend_indices` gives them; context vectors are made together.

        Raises:
            ConfigError: A filter names what does not exist.
        """
        state = self._state
        known = [self._known(one) for one in asked]
        wanted = [
            _wanted(state, one.n, _hidden(one, history), one.where, one.diversity)
            for one, (history, _) in zip(asked, known, strict=True)
        ]
        found = _best_each(state, known, wanted)
        return [_varied(state, pool, one.n, one.diversity) for one, pool in zip(asked, found, strict=True)]

    def similar(
        self, item: str, n: int = 10, *, where: Filter | None = None, diversity: Diversity | None = None
    ) -> list[Recommendation]:
        """Items like this one, by the geometry of the bundle.

        Raises:
            DataError: A name that fits no item, or several.
            BundleError: A popularity bundle knows no similarity.
            ConfigError: The filter names what does not exist.
        """
        index = int(self.indices([item])[0])

        def best(state: _State, wanted: Wanted) -> Found:
            return state.scorer.similar(index, wanted)

        return self.named(*self._answer(best, n, np.array([index]), where, diversity))

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

        def best(state: _State, wanted: Wanted) -> Found:
            counts = state.shelf.trend if trending else state.shelf.popularity
            if counts is None:
                what = "the log had no time, so nothing is known about trends"
                raise BundleError(what, hint="ask for what is popular")
            return wanted.best(counts.astype(np.float32))

        return self.named(*self._answer(best, n, None, where, diversity))

    def search(self, text: str, n: int = 10, *, where: Filter | None = None) -> list[Recommendation]:
        """Items whose title or categories hold words of a text, the best first; more popular ones before others alike.

        With a text tower, items that mean the like come behind them; their scores are below 0.

        Raises:
            ConfigError: The filter names what does not exist.
        """

        def by_words(state: _State, wanted: Wanted) -> Found:
            scores = state.shelf.search(text)
            counts = state.shelf.popularity
            # less than any two scores differ by, so that it only decides between equal ones
            nudge = 1e-4 * np.log1p(counts.astype(np.float32)) / np.log1p(counts.max(initial=1))
            return wanted.best(np.where(scores > 0, scores + nudge, np.float32(-np.inf)))

        def by_meaning(vector: Floats, state: _State, wanted: Wanted) -> Found:
            items, cosines = state.scorer.nearest(vector, wanted)
            return items, cosines - 1

        items, scores = self._answer(by_words, n, None, where, None)
        if len(items) < n and self.tower is not None and self.tower.knows(text):
            like = partial(by_meaning, self.tower.embed([text])[0])
            more = self._answer(like, n - len(items), items, where, None)
            items, scores = np.concatenate([items, more[0]]), np.concatenate([scores, more[1]])
        return self.named(items, scores)

    def check_item(self, item: str, text: str) -> Tower:
        """The tower that would place a new item; nothing changes.

        Raises:
            BundleError: The bundle has no text tower.
            DataError: The id is taken, or no word of the text is known.
        """
        if self.tower is None:
            hint = "write it with a tower, see recdistill.compression.fit_tower"
            raise BundleError("this bundle has no text tower to place a new item with", where=self.path, hint=hint)
        if not self.tower.knows(text):
            raise DataError(f"no word of {text!r:.80} is known to the text tower", hint="say more about the item")
        if self.items.find([item])[0] >= 0:
            raise DataError(f"item {item!r} is in the catalogue already", hint="choose another id")
        return self.tower

    def add_item(self, item: str, text: str, *, title: str = "", categories: Sequence[str] = ()) -> int:
        """Take in an item that did not exist when the bundle was made; it can be recommended at once.

        It lives as long as this object: a bundle on disk does not change.

        Args:
            item: Its id.
            text: What is known about it; written like the texts that the bundle was made from.
            title: Its name; the id if empty.
            categories: As the others have them.

        Returns:
            Its index.

        Raises:
            BundleError: The bundle has no text tower.
            DataError: The id is taken, or no word of the text is known.
        """
        row = self.check_item(item, text).embed([text])[0]
        with self._changing:
            shelf, scorer = self._state
            if shelf.items.find([item])[0] >= 0:
                raise DataError(f"item {item!r} is in the catalogue already", hint="choose another id")
            self._state = _State(shelf.grown(item, title, categories), scorer.grown(row, shelf.n_items))
            return shelf.n_items

    def attach(self, name: str, values: npt.ArrayLike | Mapping[str, float]) -> None:
        """Give the items a number that filters can ask for; see :meth:`Shelf.attach`."""
        with self._changing:
            self.shelf.attach(name, values)

    def add_rule(self, name: str, rule: RuleFunction) -> None:
        """Name a rule of the business that filters can ask for; see :meth:`Shelf.add_rule`."""
        with self._changing:
            self.shelf.add_rule(name, rule)

    def score(self, contexts: Contexts) -> Floats:
        """Scores of all items, as a ranking model gives them: float32 ``[len(contexts), n_items]``."""
        shelf, scorer = self._state
        if not len(contexts):
            return np.zeros((0, shelf.n_items), dtype=np.float32)
        scores = scorer.batch(contexts.history)
        scores[contexts.history.lengths == 0] = shelf.popularity
        return scores

    def indices(self, names: Sequence[str]) -> Indices:
        """Indices of items by id, title or an unmistakable part of one: int64 ``[n]``.

        Raises:
            DataError: A name that fits no item, or several.
        """
        items = self.items
        found = items.find(names)
        for at in np.flatnonzero(found < 0).tolist():
            found[at] = resolve(items, names[at])
        return found

    def named(self, items: Indices, scores: Floats) -> list[Recommendation]:
        """Indices and scores as recommendations."""
        known = self.items
        return [
            Recommendation(known.ids[at], known.title(at), score)
            for at, score in zip(items.tolist(), scores.tolist(), strict=True)
        ]

    def _known(self, asked: Asked) -> tuple[Indices, Floats | None]:
        """The whole history of a user, and the vector to use in its place."""
        if asked.user is None or self.users is None or (row := int(self.users.ids.find([asked.user])[0])) < 0:
            return asked.history, None
        vector = None if len(asked.history) else self.users.vector(row)  # what is new is not in the vector
        return _followed(self.users.history(row), asked.history), vector

    def _answer(
        self,
        best: Callable[[_State, Wanted], Found],
        n: int,
        hidden: Indices | None,
        where: Filter | None,
        diversity: Diversity | None,
    ) -> Found:
        """The best items that a filter lets through, made more varied."""
        state = self._state
        return _varied(state, best(state, _wanted(state, n, hidden, where, diversity)), n, diversity)


def _followed(kept: Indices, new: Indices) -> Indices:
    """A history and what came after it; what both hold, the end of one and the beginning of the other, counts once."""
    if len(new):
        for start in np.flatnonzero(kept == new[0]).tolist():  # the longest overlap first
            if np.array_equal(kept[start:], new[: len(kept) - start]):
                return np.concatenate([kept[:start], new])
    return np.concatenate([kept, new])


def _best(state: _State, history: Indices, vector: Floats | None, wanted: Wanted) -> Found:
    if vector is not None:
        return state.scorer.best_for_each(vector[None], [wanted])[0]
    if len(history):
        return state.scorer.best(history, wanted)
    return wanted.best(state.shelf.popularity.astype(np.float32))


def _best_each(state: _State, known: Sequence[tuple[Indices, Floats | None]], wanted: Sequence[Wanted]) -> list[Found]:
    """Histories together, and users' own vectors together; to pack a single one costs more than it gains."""
    if len(known) == 1:
        return [_best(state, *known[0], wanted[0])]
    found: dict[int, Found] = {}
    vectors = {row: vector for row, (_, vector) in enumerate(known) if vector is not None}
    if vectors:
        together = np.stack(list(vectors.values()))
        found.update(zip(vectors, state.scorer.best_for_each(together, [wanted[row] for row in vectors]), strict=True))
    histories = {row: history for row, (history, _) in enumerate(known) if len(history) and row not in vectors}
    if histories:
        ends = np.cumsum([0, *map(len, histories.values())])
        packed = Sequences(ends, np.concatenate(list(histories.values())).astype(np.int32))
        found.update(zip(histories, state.scorer.best_each(packed, [wanted[row] for row in histories]), strict=True))
    return [found.get(row) or _best(state, *one, wanted[row]) for row, one in enumerate(known)]


def _hidden(asked: Asked, history: Indices) -> Indices | None:
    """Items that must not come: int64 ``[any]``."""
    parts = (history if asked.exclude_history else None, asked.deny)
    hidden = [part for part in parts if part is not None and len(part)]
    return np.concatenate(hidden) if hidden else None


def _wanted(state: _State, n: int, hidden: Indices | None, where: Filter | None, diversity: Diversity | None) -> Wanted:
    """What a scorer is asked for: the list, or the pool that it is chosen from."""
    allowed = None if where is None else state.shelf.mask(where)
    return Wanted(n if diversity is None else max(diversity.pool, n), allowed, hidden)


def _varied(state: _State, found: Found, n: int, diversity: Diversity | None) -> Found:
    if diversity is None:
        return found
    items, scores = found
    categories = None
    if diversity.per_category is not None and state.shelf.items.categories is not None:
        categories = [state.shelf.items.categories[at] for at in items.tolist()]
    vectors = state.scorer.vectors_of(items) if diversity.weight else None
    chosen = diversity.choose(scores, n, vectors, categories)
    return items[chosen], scores[chosen]
