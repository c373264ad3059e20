"""A chain of compression steps, each behind the rank gate."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.dataset import Dataset, Split
from ..errors import BundleError, ConfigError, RunError, TrainingError
from ..files import atomic_directory, atomic_path
from ..knowledge import Knowledge
from ..models.base import RankingModel
from ..models.neural import NeuralModel
from ..objectives.base import FeatureObjective, ObjectiveConfig, ScoreObjective
from ..objectives.defaults import default_objectives
from ..serving import Bundle
from ..serving.manifest import Manifest
from ..serving.place import Place
from ..stages import Stage, Stages
from ..training import Training
from .budget import Budget
from .bundle import write_bundle
from .candidate import Candidate, Workshop
from .card import write_card
from .defaults import default_steps
from .gate import Gate
from .judge import Judge, Measured, Verdict
from .outcome import Outcome, Row, chosen, front
from .steps.base import RecoveringStep, Step
from .storage import Storage
from .surgery import bake

__all__ = ["Compressed", "compress"]

log = logging.getLogger("recdistill")

_MEASURED = 1
"""Raised when something else is measured of the same candidates; they are then made and measured again."""
_WHOLE = "uncompressed"
_ARRAYS = ("ndcg", "tail", "ranked")


@dataclass(frozen=True, eq=False)
class Compressed:
    """What :func:`compress` found, with the bundles that it wrote on the way.

    Attributes:
        outcome: Every candidate, and which one was picked.
        places: Directory of the stage of each candidate.
    """

    outcome: Outcome
    places: tuple[Path, ...]

    @property
    def picked(self) -> Candidate:
        """The candidate to serve.

        Raises:
            RunError: None fits the budget; the nearest is named.
        """
        return Candidate.load(self._place())

    def bundle(
        self,
        path: str | Path,
        card: Mapping[str, Any] | None = None,
        *,
        dataset: Dataset | None = None,
        users: bool = False,
        tower: bool | npt.NDArray[Any] = False,
        ann: bool | None = None,
        pictures: str | Path | None = None,
    ) -> Path:
        """Write the bundle of the picked candidate.

        Args:
            path: Directory to make.
            card: What stands in its card; what the chain found is added as ``compression``.
            dataset: What the model was fitted on; needed for the parts that follow.
            users: As in :func:`~recdistill.compression.write_bundle`, like ``tower`` and ``ann``.
            tower: For items that come later.
            ann: For approximate search.
            pictures: Folder with the pictures of the items.

        Raises:
            RunError: None fits the budget, or something is there already.
        """
        path, place, row = Path(path), self._place(), self.outcome.picked
        assert row is not None
        if path.exists():
            raise RunError("is there already, nothing was overwritten", where=path, hint="name another place")
        card = card or {}
        told = {**card, "compression": self._told(row) | card.get("compression", {})}
        if dataset is not None and (users or tower is not False or ann or pictures is not None):
            picked = self.picked
            write_bundle(
                picked.model, dataset, path, vectors=picked.storage, card=told, users=users, tower=tower, ann=ann,
                pictures=pictures,
            )  # fmt: skip
            self._weigh(path)
            return path
        with atomic_directory(path) as part:
            shutil.copytree(place / "bundle", part, dirs_exist_ok=True)
            manifest = Manifest.read(Place.open(part), verify=False)
            facts = {"kind": manifest.kind, "model": manifest.model, "items": manifest.n_items}
            write_card(part, told, facts | {"numbers": manifest.precision})
            manifest.write(part)
        return path

    def _place(self) -> Path:
        for row, place in zip(self.outcome.rows, self.places, strict=True):
            if row.picked:
                return place
        raise no_fit(self.outcome)

    def _weigh(self, path: Path) -> None:
        """What came beside the model was not there when the candidates were weighed."""
        size, under = Bundle.open(path, verify=False).size_bytes, self.outcome.budget.under
        if under is not None and size > under:
            log.warning(
                "with what it has beside the model the bundle has %s bytes, beyond %s", f"{size:,}", f"{under:,}"
            )

    def _told(self, row: Row) -> dict[str, Any]:
        before = self.outcome.rows[1 : self.outcome.rows.index(row) + 1]
        return {
            "steps": [other.name for other in before if other.kept],
            "ndcg@10 on validation": row.ndcg,
            "of the uncompressed model": self.outcome.whole.ndcg,
            "overlap@10 with it": row.overlap,
            "bytes of vectors and encoder": row.model_bytes,
            "of the uncompressed model's": self.outcome.whole.model_bytes,
        }


def compress(
    model: RankingModel,
    split: Split,
    *,
    steps: Sequence[Step] | None = None,
    knowledge: Knowledge | None = None,
    objectives: Sequence[ObjectiveConfig] | None = None,
    training: Training | None = None,
    gate: Gate | None = None,
    budget: Budget | None = None,
    directory: str | Path,
) -> Compressed:
    """Make a fitted model smaller, step by step; a step that costs too much is undone, and the next one goes on.

    Every candidate is a bundle, and the bundle is what is measured: NDCG@10, overlap with the first 10 items of the
    uncompressed model and recall of the tail on validation, bytes, and the time of one recommendation. The test part is
    not touched.

    Args:
        model: Any fitted model.
        split: What it was fitted on.
        steps: In their order; :func:`~recdistill.compression.defaults.default_steps` if None.
        knowledge: What teachers said, for recovery training. Without rankings in it, the uncompressed model teaches.
        objectives: Loss terms of recovery training; those without a loss, such as ``start-from``, are left out.
        training: Its loop; steps say how many epochs and at which rate.
        gate: What may be lost.
        budget: What the picked candidate may cost.
        directory: Holds every step that was done; an interrupted chain goes on from there.

    Raises:
        ConfigError: A step has nothing to do with such a model.
        KnowledgeError: An objective needs what was not taught.
    """
    steps = default_steps(model) if steps is None else list(steps)
    start = Candidate(bake(model) if isinstance(model, NeuralModel) else model, Storage(vectors="float32"))
    for number, step in enumerate(steps):
        try:
            step.check(start)
        except ConfigError as error:
            raise ConfigError(error.what, key=("steps", str(number), *error.key), hint=error.hint) from None
    gate, training = gate or Gate(), training or Training()
    stages = Stages(Path(directory))
    recovers = any(isinstance(step, RecoveringStep) and step.epochs for step in steps)
    known = _known(start.model, split, knowledge or Knowledge(()), stages, recovers)
    shop = Workshop(split, known, tuple(_losses(objectives, known)), training)
    chain = _Chain(stages, shop, Judge(split, gate, training.exclude_history), _described(shop, gate))
    return chain.run(start, steps, budget or Budget())


class _Chain:
    """The walk along the steps."""

    def __init__(self, stages: Stages, shop: Workshop, judge: Judge, shared: list[Any]) -> None:
        self.stages, self.shop, self.judge, self.shared = stages, shop, judge, shared

    def run(self, start: Candidate, steps: Sequence[Step], budget: Budget) -> Compressed:
        """Do every step that is not done, judge it, and go on from the last one that was kept."""
        weights = _weights(start.model)
        whole = self._stage(_WHOLE, [weights], lambda _: start)
        reference = _measured(whole)
        rows, places = [_row(_WHOLE, None, whole, reference, self.judge.judge(reference, reference))], [whole.path]
        latest = whole
        for number, step in enumerate(steps):
            name = _numbered(step.name, [earlier.name for earlier in steps[:number]])
            done = self._stage(step.name, [weights, latest.key, step.digest()], self._work(step, latest, name))
            row = self._judged(name, step, done, reference)
            log.info("%s: %s (%s)", name, "kept" if row.kept else "undone", row.reason)
            rows.append(row)
            places.append(done.path)
            latest = done if row.kept else latest
        return Compressed(self._outcome(start.model, rows, budget), tuple(places))

    def _work(self, step: Step, before: Stage, name: str) -> Any:
        def work(path: Path) -> Candidate:
            shop = replace(self.shop, directory=path, label=f"{name}, recovery")
            return step.apply(Candidate.load(before.path), shop)

        return work

    def _stage(self, name: str, inputs: list[Any], make: Any) -> Stage:
        def work(path: Path) -> dict[str, Any]:
            try:
                candidate = make(path)
                candidate.save(path)
                bundle = write_bundle(
                    candidate.model, self.shop.split.dataset, path / "bundle", vectors=candidate.storage
                )
            except (BundleError, TrainingError) as error:  # such a candidate cannot be served: the step is undone
                if name == _WHOLE:
                    raise
                return {"failed": str(error)}
            measured = self.judge.measure(Bundle.open(bundle))
            with atomic_path(path / "measured.npz") as part, part.open("wb") as file:
                np.savez(file, **{array: getattr(measured, array) for array in _ARRAYS})
            facts = {key: getattr(measured, key) for key in Measured.__dataclass_fields__ if key not in _ARRAYS}
            return facts | {"parameters": candidate.model.n_parameters}

        return self.stages(f"compress/{name}", [_MEASURED, *self.shared, *inputs], work)

    def _judged(self, name: str, step: Step, done: Stage, reference: Measured) -> Row:
        described = {"type": step.name, **step.model_dump(mode="json")}
        if "failed" in done.info:
            return Row(name=name, step=described, kept=False, reason=done.info["failed"])
        measured = _measured(done)
        return _row(name, described, done, measured, self.judge.judge(measured, reference))

    def _outcome(self, model: RankingModel, rows: list[Row], budget: Budget) -> Outcome:
        at = chosen(rows, budget)
        marked = [
            row.model_copy(update={"pareto": pareto, "picked": number == at})
            for number, (row, pareto) in enumerate(zip(rows, front(rows), strict=True))
        ]
        return Outcome(
            model=model.config.name,
            contexts=len(self.judge.contexts),
            max_drop=self.judge.gate.max_drop,
            budget=Budget(under=budget.under, faster_than=budget.faster_than),  # a recipe's says more than that
            rows=tuple(marked),
        )


def no_fit(outcome: Outcome) -> RunError:
    """Says why no candidate could be picked, and what comes nearest."""
    kept = [row for row in outcome.rows if row.kept and row.bytes is not None and row.p50_ms is not None]
    smallest, fastest = min(kept, key=lambda row: row.bytes or 0), min(kept, key=lambda row: row.p50_ms or 0.0)
    found = f"the smallest that the gate let pass is {smallest.name} with {(smallest.bytes or 0) / 1e6:.2f} MB"
    quick = f"the fastest {fastest.name} with {fastest.p50_ms or 0.0:.3f} ms"
    return RunError(f"no candidate fits the budget: {found}, {quick}", hint="allow more, or add steps")


def _known(model: RankingModel, split: Split, knowledge: Knowledge, stages: Stages, wanted: bool) -> Knowledge:
    """The knowledge, with rankings by the uncompressed model where there are none and training needs some."""
    if not wanted or "rankings" in knowledge.kinds() or not isinstance(model, NeuralModel):
        return knowledge

    def work(path: Path) -> dict[str, Any]:
        from ..teachers.recommender import RecommenderTeacher

        RecommenderTeacher(model, name=_WHOLE).label(split, path / "rankings", k=100)
        return {}

    taught = stages("compress/knowledge", [_weights(model), split.fingerprint], work)
    return knowledge + Knowledge.open(taught.path)


def _losses(objectives: Sequence[ObjectiveConfig] | None, knowledge: Knowledge) -> Iterator[ObjectiveConfig]:
    """Objectives that have a loss: the others set initial weights, and these are there."""
    for objective in default_objectives(knowledge) if objectives is None else objectives:
        if isinstance(objective.build(), ScoreObjective | FeatureObjective):
            yield objective


def _described(shop: Workshop, gate: Gate) -> list[Any]:
    """What all candidates of a chain depend on, JSON-like."""
    terms = [[objective.name, objective.digest()] for objective in shop.objectives]
    asked = [gate.contexts, shop.training.exclude_history]
    return [shop.split.fingerprint, shop.knowledge.digest(), terms, shop.training.digest(), asked]


def _weights(model: RankingModel) -> str:
    """Hash of config and everything learned: 16 hex digits."""
    digest = hashlib.sha256(model.config.digest().encode())
    for name, value in sorted(model.tensors().items()):
        digest.update(f"{name} {value.dtype} {value.shape} ".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:16]


def _measured(stage: Stage) -> Measured:
    with np.load(stage.path / "measured.npz") as arrays:
        kept = {name: arrays[name] for name in _ARRAYS}
    return Measured(**kept, **{key: value for key, value in stage.info.items() if key != "parameters"})


def _row(name: str, step: dict[str, Any] | None, stage: Stage, measured: Measured, verdict: Verdict) -> Row:
    ndcg, tail = verdict.ndcg, verdict.tail
    base = ndcg.over or float("nan")
    return Row(
        name=name,
        step=step or {},
        kept=verdict.kept,
        reason=verdict.reason if step else "what the others are compared with",
        ndcg=ndcg.mean,
        change=ndcg.difference / base,
        low=ndcg.low / base,
        high=ndcg.high / base,
        overlap=verdict.overlap,
        tail=tail.mean,
        tail_change=tail.relative,
        parameters=stage.info["parameters"],
        bytes=measured.bytes,
        model_bytes=measured.model_bytes,
        p50_ms=measured.p50_ms,
        p99_ms=measured.p99_ms,
    )


def _numbered(name: str, earlier: Sequence[str]) -> str:
    count = list(earlier).count(name)
    return f"{name} {count + 1}" if count else name
