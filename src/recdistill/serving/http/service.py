"""Questions answered from bundles; knows nothing of HTTP but the types of its questions."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from starlette.exceptions import HTTPException

from ...errors import BundleError, DataError, RunError
from ..arrivals import Arrival
from ..bundle import Asked, Bundle, Recommendation
from ..deployment import Variant
from ..diversity import Diversity
from ..feedback import Event, EventStore, Writer
from ..filters import Filter, parse_filter
from ..showcase import Showcase
from . import schemas
from .batching import Batcher
from .live import Live, Serving
from .meters import Meters
from .trial import side_by_side

__all__ = ["Service"]

log = logging.getLogger("recdistill.server")

Q = TypeVar("Q")
Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Plain = dict[str, Any]
_REMEMBERED = 200
"""Newest events of a user that make their history."""
_LOOKED_UP = 256
"""Users whose events are read in one go."""
_COMPARED = 10
_NEAR = 5
"""Items that are named beside a new one."""
_SHADOWING = 100
"""Questions that wait for a shadow, at most."""
_PIECE = 64
"""Questions of a batch that are answered together."""


@dataclass(frozen=True, slots=True)
class _Question:
    """Who answers, what is asked, and the user whose history the bundle may add."""

    serving: Serving
    question: schemas.Recommend
    user: str | None


class Service:
    """Answers from what is served now.

    Args:
        live: What is served.
        events: Where feedback goes.
        meters: Count.
        micro_batch: Questions that are scored together, at most.
        showcase: Models to compare with.
        new_items: Whether items may be added.
    """

    def __init__(
        self,
        live: Live,
        events: Writer,
        meters: Meters,
        micro_batch: int = 32,
        showcase: Showcase | None = None,
        *,
        new_items: bool = False,
    ) -> None:
        self.live, self.events, self.meters = live, events, meters
        self._showcase, self._new_items = showcase or Showcase(None), new_items
        self._batcher: Batcher[_Question, Plain] = Batcher(self._recommend_together, micro_batch, meters.batch.observe)
        self._histories: Batcher[str, list[str]] = Batcher(self._look_up, _LOOKED_UP)
        self._beside = ThreadPoolExecutor(1, "shadow")
        self._shadowing = 0
        self._answered: Counter[tuple[int, str]] = Counter()
        """Answers that the event store does not know of yet, by deployment and variant."""
        self._counting = threading.Lock()

    async def recommend(self, question: schemas.Recommend) -> Plain:
        """A list for one question; see :class:`schemas.Answer`."""
        return await self._batcher(await self._with_history(question))

    async def recommend_many(self, questions: schemas.RecommendMany) -> Plain:
        """A list for each question, computed in a thread."""
        asked = [await self._with_history(question) for question in questions.requests]
        return {"answers": await _in_pieces(asked, self._recommend_together)}

    async def _with_history(self, question: schemas.Recommend) -> _Question:
        """A user who gives no history has that of the event store, behind the one that the bundle keeps."""
        if question.history is not None or question.user is None:
            return _Question(self.live.now, question, None)
        user = question.user
        found = await self._histories(user)
        return _Question(self.live.now, question.model_copy(update={"history": found}), user)

    def _look_up(self, users: Sequence[str]) -> asyncio.Future[Sequence[list[str]]]:
        """Histories of some users, read in one visit to the event store's thread."""
        return asyncio.wrap_future(self.events.ask(lambda store: [store.history(user, _REMEMBERED) for user in users]))

    def _recommend_together(self, asked: Sequence[_Question]) -> list[Plain]:
        """Lists for questions, those of one bundle scored in one go."""
        groups: dict[tuple[int, str], list[int]] = {}
        for at, one in enumerate(asked):
            variant = one.serving.deployment.variant_of(one.question.user)
            groups.setdefault((id(one.serving), variant.name), []).append(at)
        made = []
        for (_, name), places in groups.items():
            bundle, start = asked[places[0]].serving.bundles[name], time.perf_counter()
            lists = _lists(bundle, [asked[at] for at in places])
            made.append((name, places, lists, (time.perf_counter() - start) / len(places)))
        answers: list[Plain] = [{}] * len(asked)
        for name, places, lists, taken in made:  # none is counted unless all could be made
            serving = asked[places[0]].serving
            bundle = serving.bundles[name]
            with self._counting:
                self._answered[serving.deployment.number, name] += len(places)
            seconds = self.meters.variant.labels(name)
            for at, (items, scores, unknown) in zip(places, lists, strict=True):
                seconds.observe(taken)
                answers[at] = _answer(bundle, items, scores, name, unknown)
                if serving.deployment.shadows:
                    self._ask_shadows(asked[at], items)
        return answers

    def _ask_shadows(self, question: _Question, served: Indices) -> None:
        """Ask them later; what is too much for them is not asked."""
        with self._counting:
            if self._shadowing >= _SHADOWING:
                return
            self._shadowing += 1
        self._beside.submit(self._shadow, question.serving, question, served)

    def _shadow(self, serving: Serving, question: _Question, served: Indices) -> None:
        """Ask the shadows too; nobody waits for this."""
        with self._counting:
            self._shadowing -= 1
        try:
            best = set(served[:_COMPARED].tolist())
            ids = {serving.main.items.ids[at] for at in best}
            for variant in serving.deployment.shadows:
                bundle, start = serving.bundles[variant.name], time.perf_counter()
                items = _lists(bundle, [question])[0][0][:_COMPARED]
                self.meters.variant.labels(variant.name).observe(time.perf_counter() - start)
                same = ids & {bundle.items.ids[at] for at in items.tolist()}
                self.meters.overlap.labels(variant.name).observe(len(same) / max(len(ids), 1))
        except Exception:
            log.exception("a shadow failed; answers are not affected")

    async def similar(self, question: schemas.Similar) -> Plain:
        """Items like one; 404 if it is unknown."""
        serving = self.live.now
        return self._similar(serving, question)

    async def similar_many(self, questions: schemas.SimilarMany) -> Plain:
        """Items like each of several."""
        serving = self.live.now

        def work(part: Sequence[schemas.Similar]) -> list[Plain]:
            return [self._similar(serving, question) for question in part]

        return {"answers": await _in_pieces(questions.requests, work)}

    def _similar(self, serving: Serving, question: schemas.Similar) -> Plain:
        bundle = serving.main
        place = int(bundle.items.find([question.item])[0])
        if place < 0:
            raise HTTPException(404, f"item {question.item!r} is not in the catalogue")
        found = bundle.similar(
            question.item, question.n, where=_filter(question.where), diversity=_varied(question.diversity)
        )
        return _listed(serving, found)

    async def popular(self, question: schemas.Popular) -> Plain:
        """What many use."""
        serving = self.live.now
        where, diversity = _filter(question.where), _varied(question.diversity)
        found = serving.main.popular(question.n, trending=question.trending, where=where, diversity=diversity)
        return _listed(serving, found)

    async def search(self, question: schemas.Search) -> Plain:
        """Items whose title or categories hold words of a text."""
        return await asyncio.to_thread(self._search, self.live.now, question)  # the first one makes the index

    async def search_many(self, questions: schemas.SearchMany) -> Plain:
        """The same for each of several texts."""
        serving = self.live.now

        def work(part: Sequence[schemas.Search]) -> list[Plain]:
            return [self._search(serving, question) for question in part]

        return {"answers": await _in_pieces(questions.requests, work)}

    def _search(self, serving: Serving, question: schemas.Search) -> Plain:
        return _listed(serving, serving.main.search(question.text, question.n, where=_filter(question.where)))

    async def store(self, events: schemas.Events) -> Plain:
        """Store events; they are on the disk when this returns."""
        deployment, now = self.live.now.deployment, time.time()
        rows = [
            Event(
                event.id, event.user, event.item, event.type, min(now if event.time is None else event.time, now),
                event.value, deployment.variant_of(event.user).name, deployment.number,
            )
            for event in events.events
        ]  # fmt: skip
        new = sum(await asyncio.wrap_future(self.events.add(rows)))
        self.meters.events.labels("stored").inc(new)
        self.meters.events.labels("known").inc(len(rows) - new)
        return {"stored": new, "known": len(rows) - new}

    async def items(self, question: schemas.Ids) -> Plain:
        """What is known about some items."""
        bundle = self.live.now.main
        places = bundle.items.find(question.items).tolist()
        return {
            "items": [_described(bundle, at) for at in places if at >= 0],
            "unknown": [item for item, at in zip(question.items, places, strict=True) if at < 0],
        }

    def item(self, item: str) -> Plain:
        """What is known about one item; 404 if it is unknown."""
        bundle = self.live.now.main
        place = int(bundle.items.find([item])[0])
        if place < 0:
            raise HTTPException(404, f"item {item!r:.300} is not in the catalogue")
        return _described(bundle, place)

    def picture(self, item: str) -> tuple[str, bytes] | None:
        """Media type and bytes of an item's picture, or None; 404 if the item is unknown."""
        bundle = self.live.now.main
        place = int(bundle.items.find([item])[0])
        if place < 0:
            raise HTTPException(404, f"item {item!r:.300} is not in the catalogue")
        return None if bundle.pictures is None else bundle.pictures.of(place)

    async def add(self, question: schemas.NewItems) -> Plain:
        """Take in items that nobody has seen yet; 409 if that cannot be."""
        if not self._new_items:
            raise HTTPException(409, "this server takes in no new items")

        def work() -> list[Plain]:
            return [self._added(new) for new in question.items]

        return {"items": await asyncio.to_thread(work)}

    def _added(self, new: schemas.NewItem) -> Plain:
        try:
            bundle = self.live.add(Arrival(new.item, new.text, new.title, tuple(new.categories)))
        except (BundleError, DataError, RunError) as error:
            raise HTTPException(409, error.what) from None
        near = bundle.similar(new.item, _NEAR)
        return {"item": new.item, "title": new.title or new.item, "near": [_plain(row) for row in near]}

    async def compare(self, question: schemas.Compare) -> Plain:
        """Lists of all models of the run for one history, computed in a thread."""
        serving = self.live.now
        name = serving.deployment.variants[0].name
        return await asyncio.to_thread(
            self._showcase.compare, serving.main, f"served ({name})", question.history, question.n
        )

    def shown(self) -> Plain:
        """What there is to compare."""
        main = self.live.now.main
        return {
            "examples": self._showcase.examples(main),
            "teacher": self._showcase.teacher,
            "new_items": self._new_items and main.tower is not None,
            "pictures": main.pictures is not None,
        }

    def card(self) -> Plain:
        """What is served."""
        now = self.live.now
        return {
            "deployment": now.deployment.number,
            "variants": [_told(variant, now.bundles[variant.name]) for variant in now.deployment.variants],
            "refused": self.live.refused,
            "card": now.main.card,
        }

    async def report(self) -> Plain:
        """The variants side by side."""
        await self.note_answers()
        now = self.live.now.deployment
        answers = await self._stored(lambda store: store.answers(now.number))
        events = await self._stored(lambda store: store.tally(now.number))
        return {"deployment": now.number, "variants": side_by_side(now, answers, events, self.meters)}

    async def _stored(self, question: Callable[[EventStore], Any]) -> Any:
        return await asyncio.wrap_future(self.events.ask(question))

    async def note_answers(self) -> None:
        """Add to the event store how many answers were given since the last time."""
        with self._counting:
            given, self._answered = self._answered, Counter()
        try:
            for number in {deployment for deployment, _ in given}:
                more = {name: count for (deployment, name), count in given.items() if deployment == number}
                await self._stored(partial(_count_answers, number, more))
                for name in more:
                    del given[number, name]
        finally:  # what could not be written down is for the next time
            with self._counting:
                self._answered.update(given)

    def close(self) -> None:
        """Write what is waiting."""
        self._beside.shutdown(cancel_futures=True)
        self.events.close()


def _count_answers(deployment: int, more: Mapping[str, int], store: EventStore) -> None:
    store.count_answers(deployment, more)


async def _in_pieces(questions: Sequence[Q], work: Callable[[Sequence[Q]], list[Plain]]) -> list[Plain]:
    """Answers to many questions, made in a thread; it stops soon after nobody waits any more."""
    gone = threading.Event()

    def answers() -> list[Plain]:
        found: list[Plain] = []
        for start in range(0, len(questions), _PIECE):
            if gone.is_set():
                break
            found += work(questions[start : start + _PIECE])
        return found

    try:
        return await asyncio.to_thread(answers)
    finally:
        gone.set()


def _lists(bundle: Bundle, questions: Sequence[_Question]) -> list[tuple[Indices, Floats, list[str]]]:
    """Items, scores and unknown ids of each; ids only: over HTTP nobody guesses titles."""
    asked, unknown = [], []
    for one in questions:
        question = one.question
        history = question.history or ()
        found = bundle.items.find(history)
        unknown.append([item for item, at in zip(history, found.tolist(), strict=True) if at < 0])
        denied = bundle.items.find(question.deny) if question.deny else None
        asked.append(
            Asked(
                found[found >= 0],
                question.n,
                question.exclude_history,
                None if denied is None else denied[denied >= 0],
                _filter(question.where),
                _varied(question.diversity),
                one.user,
            )
        )
    return [(*found, left) for found, left in zip(bundle.recommend_each(asked), unknown, strict=True)]


def _filter(where: Plain | None) -> Filter | None:
    return None if where is None else parse_filter(where)


def _varied(wanted: schemas.Varied | None) -> Diversity | None:
    return None if wanted is None else Diversity(wanted.weight, wanted.per_category, wanted.pool)


def _listed(serving: Serving, found: Sequence[Recommendation]) -> Plain:
    """An answer of the first variant."""
    rows = [_plain(row) for row in found]
    name, bundle = serving.deployment.variants[0].name, serving.main.fingerprint
    return {"items": rows, "variant": name, "bundle": bundle, "unknown": []}


def _plain(row: Recommendation) -> Plain:
    return {"item": row.item, "title": row.title, "score": row.score}


def _answer(bundle: Bundle, items: Indices, scores: Floats, variant: str, unknown: list[str]) -> Plain:
    catalogue = bundle.items
    rows = [
        {"item": catalogue.ids[at], "title": catalogue.title(at), "score": score}
        for at, score in zip(items.tolist(), scores.tolist(), strict=True)
    ]
    return {"items": rows, "variant": variant, "bundle": bundle.fingerprint, "unknown": unknown}


def _described(bundle: Bundle, at: int) -> Plain:
    categories = bundle.items.categories
    return {
        "item": bundle.items.ids[at],
        "title": bundle.items.title(at),
        "categories": [] if categories is None else list(categories[at]),
        "popularity": int(bundle.popularity[at]),
    }


def _told(variant: Variant, bundle: Bundle) -> Plain:
    manifest = bundle.manifest
    return {
        "name": variant.name,
        "share": variant.share,
        "shadow": variant.shadow,
        "bundle": bundle.fingerprint,
        "model": manifest.model,
        "kind": manifest.kind,
        "precision": manifest.precision,
        "items": manifest.n_items,
        "bytes": bundle.size_bytes,
        "checks": dict(manifest.checks),
    }
