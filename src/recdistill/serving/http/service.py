"""Questions answered from bundles; knows nothing of HTTP but the types of its questions."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.exceptions import HTTPException

from ...data.dataset import Contexts
from ...data.sequences import Sequences
from ...errors import BundleError, StoreError
from ..bundle import Bundle
from ..deployment import Variant
from ..feedback import Event, EventStore, Writer
from ..topk import top_k
from . import schemas
from .batching import Batcher
from .live import Live, Serving
from .meters import Meters
from .trial import side_by_side

__all__ = ["Service"]

log = logging.getLogger("recdistill.server")

Indices = npt.NDArray[np.int64]
Plain = dict[str, Any]
_REMEMBERED = 200
"""Newest events of a user that make their history."""
_COMPARED = 10


class Service:
    """Answers from what is served now.

    Args:
        live: What is served.
        events: Where feedback goes.
        meters: Count.
        micro_batch: Questions that are scored together, at most.
    """

    def __init__(self, live: Live, events: Writer, meters: Meters, micro_batch: int = 32) -> None:
        self.live, self.events, self.meters = live, events, meters
        self._batcher: Batcher[tuple[Serving, schemas.Recommend], Plain] = Batcher(
            self._recommend_together, micro_batch, meters.batch.observe
        )
        self._beside = ThreadPoolExecutor(1, "shadow")
        self._answered: Counter[tuple[int, str]] = Counter()
        """Answers that the event store does not know of yet, by deployment and variant."""

    async def recommend(self, question: schemas.Recommend) -> Plain:
        """A list for one question; see :class:`schemas.Answer`."""
        return await self._batcher((self.live.now, await self._with_history(question)))

    async def recommend_many(self, questions: schemas.RecommendMany) -> Plain:
        """A list for each question, computed in a thread."""
        asked = [(self.live.now, await self._with_history(question)) for question in questions.requests]
        return {"answers": await asyncio.to_thread(self._recommend_together, asked)}

    async def _with_history(self, question: schemas.Recommend) -> schemas.Recommend:
        if question.history is not None or question.user is None:
            return question
        user = question.user
        found = await self._stored(lambda store: store.history(user, _REMEMBERED))
        return question.model_copy(update={"history": found})

    def _recommend_together(self, asked: Sequence[tuple[Serving, schemas.Recommend]]) -> list[Plain]:
        """Lists for questions, those of one bundle scored in one go."""
        groups: dict[tuple[int, str], list[int]] = {}
        for at, (serving, question) in enumerate(asked):
            variant = serving.deployment.variant_of(question.user)
            groups.setdefault((id(serving), variant.name), []).append(at)
        answers: list[Plain] = [{}] * len(asked)
        for (_, name), places in groups.items():
            serving = asked[places[0]][0]
            bundle, start = serving.bundles[name], time.perf_counter()
            lists = _lists(bundle, [asked[at][1] for at in places])
            taken = (time.perf_counter() - start) / len(places)
            for at, (items, scores, unknown) in zip(places, lists, strict=True):
                self.meters.variant.labels(name).observe(taken)
                self._answered[serving.deployment.number, name] += 1
                answers[at] = _answer(bundle, items, scores, name, unknown)
                if serving.deployment.shadows:
                    self._beside.submit(self._shadow, serving, asked[at][1], items)
        return answers

    def _shadow(self, serving: Serving, question: schemas.Recommend, served: Indices) -> None:
        """Ask the shadows too; nobody waits for this."""
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

        def work() -> list[Plain]:
            return [self._similar(serving, question) for question in questions.requests]

        return {"answers": await asyncio.to_thread(work)}

    def _similar(self, serving: Serving, question: schemas.Similar) -> Plain:
        bundle = serving.main
        if (at := find(bundle, question.item)) is None:
            raise HTTPException(404, f"item {question.item!r} is not in the catalogue")
        try:
            found = bundle.similar(bundle.items.ids[at], question.n)
        except BundleError as error:
            raise HTTPException(409, str(error)) from None
        rows = [{"item": row.item, "title": row.title, "score": row.score} for row in found]
        return {
            "items": rows,
            "variant": serving.deployment.variants[0].name,
            "bundle": _fingerprint(bundle),
            "unknown": [],
        }

    async def popular(self, question: schemas.Popular) -> Plain:
        """What many use."""
        serving = self.live.now
        name, bundle = serving.deployment.variants[0].name, serving.main
        items, scores = bundle.recommend_indices(np.zeros(0, dtype=np.int64), question.n)
        return _answer(bundle, items, scores, name, [])

    async def store(self, events: schemas.Events) -> Plain:
        """Store events; they are on the disk when this returns."""
        deployment, now = self.live.now.deployment, time.time()
        rows = [
            Event(
                event.id, event.user, event.item, event.type,
                now if event.time is None else event.time, event.value, deployment.variant_of(event.user).name,
                deployment.number,
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
        places = {item: find(bundle, item) for item in question.items}
        return {
            "items": [_described(bundle, at) for at in places.values() if at is not None],
            "unknown": [item for item, at in places.items() if at is None],
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
        given, self._answered = self._answered, Counter()
        for number in {deployment for deployment, _ in given}:
            more = {name: count for (deployment, name), count in given.items() if deployment == number}
            try:
                await self._stored(partial(_count_answers, number, more))
            except StoreError:
                self._answered.update({(number, name): count for name, count in more.items()})
                raise

    def close(self) -> None:
        """Write what is waiting."""
        self._beside.shutdown(cancel_futures=True)
        self.events.close()


def _count_answers(deployment: int, more: Mapping[str, int], store: EventStore) -> None:
    store.count_answers(deployment, more)


def find(bundle: Bundle, item: str) -> int | None:
    """The index of an item, by id only: over HTTP nobody guesses titles."""
    return bundle.items._index.get(item)


def _found(bundle: Bundle, ids: Sequence[str]) -> tuple[Indices, list[str]]:
    places = [find(bundle, item) for item in ids]
    known = [at for at in places if at is not None]
    unknown = [] if len(known) == len(ids) else [item for item, at in zip(ids, places, strict=True) if at is None]
    return np.array(known, dtype=np.int64), unknown


def _lists(
    bundle: Bundle, questions: Sequence[schemas.Recommend]
) -> list[tuple[Indices, npt.NDArray[np.float32], list[str]]]:
    """Items, scores and unknown ids of each."""
    found = [_found(bundle, question.history or ()) for question in questions]
    if len(questions) == 1:
        question, (seen, unknown) = questions[0], found[0]
        denied = _found(bundle, question.deny)[0] if question.deny else None
        hidden = question.exclude_history
        return [(*bundle.recommend_indices(seen, question.n, exclude_history=hidden, deny=denied), unknown)]
    histories = Sequences.from_lists([seen.tolist() for seen, _ in found])
    scores = bundle.score(Contexts(np.full(len(found), -1, np.int32), histories, histories))
    lists = []
    for question, (seen, unknown), row in zip(questions, found, scores, strict=True):
        if question.exclude_history:
            row[seen] = -np.inf
        if question.deny:
            row[_found(bundle, question.deny)[0]] = -np.inf
        best = top_k(row, question.n)
        lists.append((best, row[best], unknown))
    return lists


def _answer(bundle: Bundle, items: Indices, scores: npt.NDArray[np.float32], variant: str, unknown: list[str]) -> Plain:
    catalogue = bundle.items
    rows = [
        {"item": catalogue.ids[at], "title": catalogue.title(at), "score": score}
        for at, score in zip(items.tolist(), scores.tolist(), strict=True)
    ]
    return {"items": rows, "variant": variant, "bundle": _fingerprint(bundle), "unknown": unknown}


def _fingerprint(bundle: Bundle) -> str:
    return bundle.manifest.fingerprints.get("config", "")


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
        "bundle": _fingerprint(bundle),
        "model": manifest.model,
        "kind": manifest.kind,
        "precision": manifest.precision,
        "items": manifest.n_items,
        "bytes": bundle.size_bytes,
        "checks": dict(manifest.checks),
    }
