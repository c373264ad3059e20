"""One update: from new events to a bundle that is served, or to a reason why not."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...compression import write_bundle
from ...compression.chain import compress, no_fit
from ...errors import RunError
from ...files import append_line, atomic_directory, read_json, write_json
from ...knowledge import Knowledge
from ...models import load_model
from ...models.neural import NeuralConfig, NeuralModel
from ...serving import Bundle
from ...serving.deployment import Home
from ...serving.feedback import open_store
from ...stages import NotDone
from ...training import Training, fit
from ..load import recipe_of_run
from ..run import Run
from ..schema import CompressionSpec
from .config import Updating
from .drift import drift
from .events import Feedback, Lesson, read_feedback, take_up
from .gate import Verdict, judge
from .knowledge import own_answers, taken_over
from .terms import BEFORE, terms_of

__all__ = ["Updated", "update"]

log = logging.getLogger("recdistill")

_RECORD, _HISTORY, _SCRATCH = "update.json", "updates.jsonl", "updating"
_REMEMBERED = 100
"""Items of each list in which the student remembers what it said."""
_NOT_YET, _REFUSED, _PUBLISHED = "waits", "refused", "published"


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update did.

    Attributes:
        outcome: ``waits`` (too few events to learn from or to judge by), ``refused`` (by the gate) or ``published``.
        reason: Why it was not published, or "".
        new_events: With items of the catalogue, since the last update.
        drift: See :func:`~recdistill.recipes.update.drift.drift`.
        verdict: What the gate saw; None if it was not asked.
        bundle: What is served now.
        deployment: Its number.
    """

    outcome: str
    reason: str
    new_events: int
    drift: dict[str, Any]
    verdict: Verdict | None
    bundle: Path
    deployment: int

    def record(self) -> dict[str, Any]:
        """JSON-like."""
        return {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "outcome": self.outcome,
            "reason": self.reason,
            "new_events": self.new_events,
            "gate": None if self.verdict is None else self.verdict.record(),
            "drift": self.drift,
            "bundle": self.bundle.name if self.bundle.name != "bundle" else f"{self.bundle.parent.name}/bundle",
            "deployment": self.deployment,
        }


def update(directory: str | Path, wanted: Updating | None = None, feedback: str | None = None) -> Updated:
    """Refine the student that a run serves by what users did, and serve it if a gate lets it through.

    The student goes on from where the last update left it. It learns from the rows of users with new events and, for
    replay, from some others; from the stored answers of the teachers at all contexts that are the same as before; and
    from what it said itself before. The bundle is made as the served one was, with what that has beside the model, such
    as a text tower, and compressed again if that one was. On the run's validation contexts it is compared with the one
    that is served now and with the one before the first update; at the newest events of half of the users, which were
    held back for that alone, with the one that is served now. A gate that fails leaves everything as it was, and so
    does an interruption; the events are then taken up by the next update. Every attempt is a line of
    ``serving/updates.jsonl``.

    Args:
        directory: A finished run.
        wanted: How.
        feedback: URL of the event store; None: SQLite beside the run.

    Raises:
        RunError: No finished run, or another process is at work in it.
        ConfigError: The student does not read histories.
    """
    place, wanted = Path(directory), wanted or Updating()
    home, run = Home.of(place), Run(recipe_of_run(place), place)
    with run.stages.lock(), run.stages.only_finished():
        try:
            found = _Update(run, home, wanted, feedback).work()
        except NotDone as stage:
            what = f"the stage {str(stage)!r} is not done, or its inputs have changed"
            raise RunError(what, where=place, hint="finish it with: recdistill run RECIPE") from None
    append_line(home.path / _HISTORY, json.dumps(found.record()))
    return found


class _Update:
    """One update of a run."""

    def __init__(self, run: Run, home: Home, wanted: Updating, feedback: str | None) -> None:
        self.run, self.home, self.wanted = run, home, wanted
        self.deployed = home.current()
        self.served = self.deployed.variants[0].bundle.resolve()
        self.release = self.served.parent if (self.served.parent / _RECORD).exists() else None
        self.before = {} if self.release is None else read_json(self.release / _RECORD, RunError)
        self.cursor = int(self.before.get("cursor", 0))
        self.feedback = self._read(feedback)

    def _read(self, url: str | None) -> Feedback:
        self.home.path.mkdir(parents=True, exist_ok=True)
        store = open_store(url, self.home.events)
        try:
            return read_feedback(store, self.run.split.dataset, self.cursor)
        finally:
            store.close()

    def work(self) -> Updated:
        """All of it."""
        moved = drift(self.run.split.dataset, self.feedback, self.cursor, self.wanted.seed)
        new = int((self.feedback.numbers > self.cursor).sum())
        _warn(moved)
        if new < self.wanted.min_events:
            return self._waits(f"{new:,} new events, {self.wanted.min_events:,} are waited for", moved, new)
        began = time.monotonic()
        lesson = take_up(self.run.split, self.feedback, self.cursor, self.wanted.replay, self.wanted.seed)
        if (judged := len(lesson.judged)) < self.wanted.min_judged:
            what = f"{judged} of {new:,} new events are for the gate alone, {self.wanted.min_judged} are waited for"
            return self._waits(what, moved, new)
        log.info("%s new events, %s for the gate alone, %s older ones for replay",
                 f"{new:,}", f"{judged:,}", f"{lesson.replayed:,}")  # fmt: skip
        scratch = self.home.path / _SCRATCH / lesson.split.fingerprint
        for old in (self.home.path / _SCRATCH).glob("*"):  # of an attempt with other events
            if old != scratch:
                shutil.rmtree(old)
        found = self._made(lesson, scratch, moved, new)
        shutil.rmtree(self.home.path / _SCRATCH, ignore_errors=True)
        log.info("%s after %.0f s%s", found.outcome, time.monotonic() - began, found.reason and f": {found.reason}")
        return found

    def _made(self, lesson: Lesson, scratch: Path, moved: dict[str, Any], new: int) -> Updated:
        model, known = self._refined(lesson, scratch)
        bundle = scratch / "bundle"
        why_not = self._write(model, lesson, known, bundle)
        if why_not:
            return self._refused(why_not, moved, None, new)
        metric = self.run.recipe.evaluate.metric
        verdict = judge(
            Bundle.open(self.served), Bundle.open(bundle), self.run.split.valid, lesson.judged, metric, self.wanted,
            self._reference(),
        )  # fmt: skip
        if not verdict.passed:
            return self._refused(verdict.reason, moved, verdict, new)
        if (now := self.home.current().number) != self.deployed.number:
            return self._refused(f"deployment {now} came while this was made", moved, verdict, new)
        release = self._publish(model, bundle, verdict)
        return Updated(_PUBLISHED, "", new, moved, verdict, release / "bundle", self.home.current().number)

    def _waits(self, reason: str, moved: dict[str, Any], new: int) -> Updated:
        log.info("nothing is updated: %s", reason)
        return Updated(_NOT_YET, reason, new, moved, None, self.served, self.deployed.number)

    def _reference(self) -> float | None:
        """What was served before the first update, by the same metric on the same contexts; None if nothing says so."""
        found = self.before.get("reference")
        if found is None:
            return None
        if found["of"] != self._measure():
            log.warning("the metric or the data of the run have changed: what may be lost is counted from here on")
            return None
        return float(found["value"])

    def _measure(self) -> list[str]:
        """What makes two values comparable."""
        return [self.run.recipe.evaluate.metric, self.run.split.fingerprint]

    def _refused(self, reason: str, moved: dict[str, Any], verdict: Verdict | None, new: int) -> Updated:
        log.warning("the served bundle stays: %s", reason)
        return Updated(_REFUSED, reason, new, moved, verdict, self.served, self.deployed.number)

    def _refined(self, lesson: Lesson, scratch: Path) -> tuple[NeuralModel, Knowledge]:
        """The student after the new events, and what it was taught by."""
        run, wanted = self.run, self.wanted
        begin = run.best_of("distilled").path / "model" if self.release is None else self.release / "model"
        model = load_model(begin)
        config = model.config
        if not isinstance(model, NeuralModel) or not isinstance(config, NeuralConfig) or not config.sequential:
            what = f"{config.name} has numbers of each user, or is fitted in one piece"
            raise RunError(f"{what}, so that it cannot be refined", where=begin, hint="run the recipe on the new log")
        spec = run.settled("distilled")
        ask = {}
        if wanted.ask_teacher and (name := run.recipe.main_teacher()) is not None:
            ask[name] = run.ranker(name)
        for name in ("knowledge", "before"):  # quickly written again, and it may be half of one
            shutil.rmtree(scratch / name, ignore_errors=True)
        read = tuple(stage.name.removeprefix("teach/") for stage in run.knowledge_for(spec))
        stored = taken_over(run.knowledge_of(read), lesson, scratch / "knowledge", ask)
        known = stored + self._own(model, lesson, scratch)
        training: Training = spec.training.replace(
            epochs=wanted.epochs, patience=wanted.epochs, lr=spec.training.lr * wanted.lr_scale, lr_decay="constant",
            seed=wanted.seed,
        )  # fmt: skip
        fitted = fit(
            config, lesson.split, terms_of(spec.objectives, known, wanted), knowledge=known, training=training,
            directory=scratch / "fit", label="update", start=model,
        )  # fmt: skip
        assert isinstance(fitted.model, NeuralModel)
        if not fitted.best_epoch:
            log.warning("no epoch was better on validation: the student stays, only popularity and users are new")
        return fitted.model, known

    def _own(self, model: NeuralModel, lesson: Lesson, scratch: Path) -> Knowledge:
        """What the student says before it learns anything new."""
        if not self.wanted.remember:
            return Knowledge(())
        return Knowledge((own_answers(model, BEFORE, lesson, scratch / "before", _REMEMBERED),))

    def _write(self, model: NeuralModel, lesson: Lesson, known: Knowledge, path: Path) -> str:
        """The bundle, made as the served one was: compressed behind a gate of its own, or not; or why there is none."""
        settled, dataset = self.run.settled("distilled"), lesson.split.dataset
        card = self.run.card | {"update": {"events": len(self.feedback), "until": self.feedback.last}}
        spec = CompressionSpec.of_card(Bundle.open(self.served, verify=False).card) or self.run.recipe.compression
        if spec is None:
            write_bundle(model, dataset, path, vectors=self.run.recipe.bundle.vectors, card=card, **self.run.parts())
            return ""
        shutil.rmtree(path, ignore_errors=True)  # of an interrupted attempt
        found = compress(
            model, lesson.split, steps=spec.steps, knowledge=known, gate=spec.gate, budget=spec,
            objectives=terms_of(settled.objectives, known, self.wanted),
            training=settled.training.replace(seed=self.wanted.seed), directory=path.parent / "compress",
        )  # fmt: skip
        if found.outcome.picked is None:
            return str(no_fit(found.outcome))
        found.bundle(path, card | spec.noted(), dataset=dataset, **self.run.parts())
        return ""

    def _publish(self, model: NeuralModel, bundle: Path, verdict: Verdict) -> Path:
        """Keep the release and serve it, in place of the first variant."""
        releases = self.home.path / "releases"
        number = 1 + max((int(p.name) for p in releases.glob("[0-9]*") if p.name.isdigit()), default=0)
        release = releases / f"{number:06}"
        with atomic_directory(release) as part:
            shutil.copytree(bundle, part / "bundle")
            model.save(part / "model")
            reference = {"of": self._measure(), "value": verdict.old_reference}
            record = {"cursor": self.feedback.last, "gate": verdict.record(), "reference": reference}
            write_json(part / _RECORD, record)
        main, *others = self.home.current().variants
        reason = f"update to event {self.feedback.last}"
        self.home.publish([replace(main, bundle=release / "bundle"), *others], reason, self.deployed.number)
        wanted = self.home.bundles()
        for old in releases.glob("[0-9]*"):  # nobody can go back to these
            if (old / "bundle").resolve() not in wanted:
                shutil.rmtree(old)
        return release


def _warn(moved: dict[str, Any]) -> None:
    parts: Sequence[str] = [name for name in ("items", "categories", "hours") if (moved[name] or {}).get("moved")]
    for name in parts:
        told = moved[name]
        log.warning(
            "%s have moved: divergence %.3f, where chance alone shows %.3f", name, told["divergence"], told["expected"]
        )
    if (share := moved["unknown_items"]["share"]) > 0.1:
        log.warning("%.0f%% of new events are with items outside the catalogue: run the recipe again", 100 * share)
