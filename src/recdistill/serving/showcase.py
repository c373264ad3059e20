"""Models of a run side by side on one history, and in words why their lists differ.

A *showcase* is what ``recdistill run`` leaves for this beside the bundle that is served::

    showcase.json       which bundles there are, and lists that the teacher gave to some people of the test part
    alone, distilled    bundles in float32: the student without teachers, and the served one before it was rounded
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.dataset import Contexts
from ..data.sequences import Sequences
from ..errors import BundleError
from ..files import read_json
from .bundle import Bundle

__all__ = ["FILE", "VERSION", "Showcase"]

FILE, VERSION = "showcase.json", 1
Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Plain = dict[str, Any]
_TIMED = 5
"""Calls that a latency is the median of."""


@dataclass(frozen=True, slots=True)
class _List:
    """A model's list for the history; ``all_scores`` float32 ``[n_items]``, −∞ for what was in the history."""

    name: str
    about: str
    bundle: Bundle
    items: Indices
    scores: Floats
    all_scores: Floats
    milliseconds: float

    @property
    def ids(self) -> list[str]:
        return [self.bundle.items.ids[at] for at in self.items.tolist()]

    def place(self, item: str) -> int | None:
        """At which place of the whole ranking an item is; None if it is not in it."""
        at = int(self.bundle.items.find([item])[0])
        if at < 0 or self.all_scores[at] == -np.inf:
            return None
        return int((self.all_scores > self.all_scores[at]).sum()) + 1


class Showcase:
    """The models of a run, opened when they are asked; without a directory, none but the one that is served.

    Args:
        path: The directory; None: there is none.

    Raises:
        BundleError: It is no showcase.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        body: Any = {"version": VERSION, "models": [], "teacher": None, "served": ""}
        if path is not None:
            body = read_json(path / FILE, BundleError)
        if (
            not isinstance(body, dict)
            or body.get("version") != VERSION
            or not {"models", "teacher", "served"} <= {*body}
        ):
            raise BundleError("is no showcase of this version", where=path, hint="run the recipe again")
        self._models: list[Mapping[str, str]] = body["models"]
        self._teacher: Mapping[str, Any] | None = body["teacher"]
        self._served: str = body["served"]

    @cached_property
    def _bundles(self) -> dict[str, Bundle]:
        assert self._path is not None
        return {model["name"]: Bundle.open(self._path / model["bundle"]) for model in self._models}

    @property
    def teacher(self) -> str | None:
        """The name of the teacher whose lists are stored."""
        return None if self._teacher is None else str(self._teacher["name"])

    def examples(self, bundle: Bundle) -> list[Plain]:
        """Histories that the teacher's lists are known for: items with titles, and what came next."""
        return [
            {"history": _titled(bundle, context["history"]), "next": _titled(bundle, context["next"])}
            for context in self._contexts
        ]

    def compare(self, served: Bundle, name: str, history: Sequence[str], n: int) -> Plain:
        """Lists of all models for one history.

        Args:
            served: The bundle that answers requests.
            name: Its column.
            history: Item ids, oldest first; unknown ones are left out.
            n: Items in each list.
        """
        models = [(model["name"], model["about"], self._bundles[model["name"]]) for model in self._models]
        lists = [_asked(*model, history, n) for model in [*models, (name, "what this server answers", served)]]
        context = next((one for one in self._contexts if one["history"] == list(history)), None)
        beside = _SideBySide(lists, context, n, as_made=served.fingerprint == self._served)
        return {
            "lists": [beside.column(one, history) for one in lists],
            "teacher": None if context is None or self._teacher is None else beside.taught_column(self._teacher),
            "why": beside.why(),
        }

    @property
    def _contexts(self) -> Sequence[Mapping[str, Any]]:
        return self._teacher["contexts"] if self._teacher else ()


class _SideBySide:
    """Lists for one history, compared.

    Args:
        lists: Of each model, the served one last.
        context: What the teacher said about this history, if anything.
        n: Items in each list.
        as_made: The served bundle is the one that the run made, not an update of it.
    """

    def __init__(self, lists: Sequence[_List], context: Mapping[str, Any] | None, n: int, *, as_made: bool) -> None:
        self._lists, self._as_made = lists, as_made
        self._taught = [] if context is None else [str(item) for item in context["items"][:n]]
        self._next = [] if context is None else [str(item) for item in context["next"]]

    def column(self, one: _List, history: Sequence[str]) -> Plain:
        """A list with what can be said about each of its items."""
        seen = one.bundle.items.find(history)
        alike = _most_alike(one.bundle, one.items, seen[seen >= 0])
        titled = _titled(one.bundle, one.ids)
        return {
            "name": one.name,
            "about": one.about,
            "milliseconds": one.milliseconds,
            "bytes": one.bundle.size_bytes,
            "precision": one.bundle.manifest.precision,
            "items": [
                self._row(
                    row,
                    None if alike is None else one.bundle.items.title(int(alike[at])),
                    [other for other in self._lists if other is not one],
                    new=int(one.items[at]) >= one.bundle.manifest.n_items,
                )
                for at, row in enumerate(titled)
            ],
        }

    def taught_column(self, teacher: Mapping[str, Any]) -> Plain:
        """The teacher's stored list, in the form of the others."""
        rows = [self._row(row, None, self._lists, new=False) for row in _titled(self._lists[-1].bundle, self._taught)]
        facts = {"milliseconds": None, "bytes": None, "precision": None}
        return {"name": teacher["name"], "about": teacher["about"], **facts, "items": rows}

    def _row(self, item: Plain, like: str | None, others: Sequence[_List], *, new: bool) -> Plain:
        return item | {
            "taught": item["item"] in self._taught,
            "next": item["item"] in self._next,
            "new": new,
            "like": like,
            "elsewhere": {other.name: other.place(item["item"]) for other in others},
        }

    def why(self) -> list[str]:
        """Sentences about what differs."""
        found = [self._overlaps(), self._what_came_next(), self._popularity(), self._rounding()]
        return [sentence for sentence in found if sentence]

    def _overlaps(self) -> str:
        if self._taught:
            said = ", ".join(f"{one.name} has {len(set(one.ids) & set(self._taught))}" for one in self._lists)
            return f"Of the teacher's {len(self._taught)} items, {said}."
        if len(self._lists) < 2:
            return ""
        first, second = self._lists[:2]
        common = len(set(first.ids) & set(second.ids))
        return f"{first.name} and {second.name} have {common} of {len(second.items)} items in common."

    def _what_came_next(self) -> str:
        items = self._lists[-1].bundle.items
        known = [item for item in self._next if int(items.find([item])[0]) >= 0]
        if len(known) > 1:
            lists = [("the teacher", self._taught)] if self._taught else []
            lists += [(one.name, one.ids) for one in self._lists]
            said = ", ".join(f"{name} has {len(set(known) & set(ids))}" for name, ids in lists)
            return f"Of the {len(known)} items that came next, {said}."
        if not known:
            return ""
        places = [(one.name, one.place(known[0])) for one in self._lists]
        if known[0] in self._taught:
            places.insert(0, ("the teacher", self._taught.index(known[0]) + 1))
        said = ", ".join(f"{name} has it at place {place:,}" for name, place in places if place)
        title = items.title(int(items.find([known[0]])[0]))
        return f"What came next was {title}: {said}." if said else ""

    def _popularity(self) -> str:
        """Who goes further into the catalogue: the median place of a list's items among the most popular."""
        if len(self._lists) < 2 or not all(len(one.items) for one in self._lists[:2]):
            return ""
        (first, near), (second, far) = ((one.name, _median_place(one)) for one in self._lists[:2])
        if near == far:
            return f"Both recommend items as popular as each other: in the middle of each list, number {near:,.0f}."
        bold, shy = (second, first) if far > near else (first, second)
        return (
            f"{bold} goes further into the catalogue: by popularity the items of its list are around number "
            f"{max(near, far):,.0f}, those of {shy} around number {min(near, far):,.0f}."
        )

    def _rounding(self) -> str:
        """What happened between the float32 bundle and the one that is served."""
        if len(self._lists) < 3:
            return ""
        exact, served = self._lists[-2:]
        if not self._as_made:
            return f"{served.name} is a later bundle than that of this run, so it differs by what it has learned since."
        size = (
            f"{served.bundle.manifest.precision}, {served.bundle.size_bytes / exact.bundle.size_bytes:.0%} of the bytes"
        )
        if exact.ids == served.ids:
            return f"{served.name} ({size}) gives the same list in the same order as {exact.name}."
        moved = float(np.abs(served.all_scores[exact.items] - exact.scores).max(initial=0.0))
        gap = float(np.min(-np.diff(exact.scores), initial=np.inf))
        return (
            f"{served.name} ({size}) moves scores of this list by up to {moved:.2g}, and the nearest two lie {gap:.2g} "
            "apart, so places change."
        )


def _asked(name: str, about: str, bundle: Bundle, history: Sequence[str], n: int) -> _List:
    found = bundle.items.find(history)
    seen = found[found >= 0]
    times = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        items, scores = bundle.recommend_indices(seen, n)
        times.append(time.perf_counter() - start)
    nothing = Sequences.from_lists([[]])
    context = Contexts(np.array([-1], dtype=np.int32), Sequences.from_lists([seen.tolist()]), nothing)
    all_scores = bundle.score(context)[0]
    all_scores[seen] = -np.inf
    return _List(name, about, bundle, items, scores, all_scores, statistics.median(times) * 1e3)


def _most_alike(bundle: Bundle, items: Indices, among: Indices) -> Indices | None:
    """Of a history, the item that each of some items is most like, by the cosine of their vectors."""
    if not len(among) or not len(items):
        return None
    ours, theirs = bundle.scorer.vectors_of(items), bundle.scorer.vectors_of(among)
    if ours is None or theirs is None:
        return None
    lengths = np.maximum(np.linalg.norm(theirs, axis=1, keepdims=True), 1e-12)
    chosen: Indices = among[np.argmax(ours @ (theirs / lengths).T, axis=1)]
    return chosen


def _median_place(one: _List) -> float:
    popularity = one.bundle.popularity
    return statistics.median(int((popularity > popularity[at]).sum()) + 1 for at in one.items.tolist())


def _titled(bundle: Bundle, items: Sequence[str]) -> list[Plain]:
    places = bundle.items.find(items).tolist()
    return [
        {"item": item, "title": bundle.items.title(at) if at >= 0 else item}
        for item, at in zip(items, places, strict=True)
    ]
