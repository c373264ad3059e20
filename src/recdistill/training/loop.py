"""The one training loop: any model, any mix of objectives, with or without a teacher."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.dataset import Split
from ..errors import ConfigError, KnowledgeError, TrainingError
from ..evaluation.metrics import metric_values
from ..evaluation.ranking import rank
from ..knowledge import Knowledge
from ..models.base import ModelConfig, RankingModel
from ..models.neural import NeuralConfig, NeuralModel
from ..objectives.auto import Auto
from ..objectives.base import Moment, Objective, ObjectiveConfig
from ..objectives.cross_entropy import CrossEntropy
from ..progress import Progress, track
from .auto import Choice, choose
from .batches import Step
from .checkpoint import load_checkpoint, save_checkpoint
from .config import Training
from .few_steps import tell_few_steps
from .learner import Kept, Learner
from .live.base import STUDENT, STUDENT_K, LiveConfig
from .live.ranked import ranked
from .live.setup import build_live, prepare_live
from .log import EpochLog
from .sampled import Negatives
from .setup import (
    build_loader,
    check_arguments,
    draw_probabilities,
    pick_device,
    run_hash,
    teacher_score,
    wanted_temperatures,
    weights_hash,
)
from .side_task import SideTask
from .snapshots import Snapshots

__all__ = ["Fitted", "fit"]

log = logging.getLogger("recdistill")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted model and how it came about.

    Attributes:
        model: The model, with the weights of its best epoch.
        history: One record per epoch: ``epoch``, ``seconds``, ``weight`` by term, ``loss`` by term (of those that have
            a weight), ``valid`` by metric where it was evaluated, and ``beside``: the same by live teacher or
            further task.
            ``trust`` has, by term and teacher, the means over slices of the epoch's positions (``all``, ``short`` and
            ``long`` histories, ``head`` and ``tail`` labels; see :mod:`recdistill.objectives.ledger`): the share where
            the teacher ``answered``, its ``confidence``, the share of labels that its list has (``listed``), the
            ``weight`` it was given. ``balance`` are the factors of the weights at the end of the epoch, where
            :class:`Training` asks for any.
        best_epoch: Epoch of the weights, from 1; 0 for a model of closed form.
        seconds: Time spent, interruptions not counted.
        choice: How the terms were chosen, if that was left to ``auto``.
        beside: Models that came out beside it, by name: live teachers that learn, and the student at further tasks.
        snapshots: Where the model is as it was at earlier epochs, earliest first.
    """

    model: RankingModel
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0
    choice: Choice | None = None
    beside: dict[str, RankingModel] = field(default_factory=dict)
    snapshots: list[Path] = field(default_factory=list)

    def __repr__(self) -> str:
        beside = f", beside it {', '.join(self.beside)}" if self.beside else ""
        return f"<Fitted {self.model!r}: best of {len(self.history)} epochs is {self.best_epoch}{beside}>"


def fit(
    config: ModelConfig,
    split: Split,
    objectives: Sequence[ObjectiveConfig] = (CrossEntropy(),),
    *,
    knowledge: Knowledge | None = None,
    training: Training | None = None,
    live: Sequence[LiveConfig] = (),
    models: Mapping[str, RankingModel] | None = None,
    tasks: Mapping[str, SideTask] | None = None,
    directory: str | Path | None = None,
    label: str = "train",
    start: NeuralModel | None = None,
    snapshots: int = 0,
) -> Fitted:
    """Fit a model to a split.

    Args:
        config: The model.
        split: Training events to learn from, validation contexts to stop by; the test part is not touched. Without
            validation targets, training goes on for all epochs and the last weights are kept.
        objectives: Loss terms; ignored by models of closed form.
        knowledge: What teachers said, for distillation objectives and models with text inside.
        training: Parameters of the loop.
        live: Teachers that change while the model learns; objectives read them by their ``id``.
        models: Fitted teachers by name, for live teachers that ask them.
        tasks: What the model learns beside its own task, by name.
        directory: Holds ``epochs.jsonl`` and a checkpoint; a run interrupted there goes on from it.
        label: Name in the progress line.
        start: A model of this config that is trained further, in place, instead of one with initial weights. It is also
            what is returned; without a better epoch it has the weights it came with.
        snapshots: So many models from the way to the best epoch are kept in the directory.

    Raises:
        ConfigError: An argument is of another type, there is no objective to train by, or no such device, or live
            teachers do not fit.
        KnowledgeError: Something an objective needs was not taught, or was taught about other data.
        TrainingError: A loss is not finite, or the directory holds another training.
    """
    training, knowledge = training or Training(), knowledge or Knowledge(())
    check_arguments(config, objectives, training)
    if not isinstance(config, NeuralConfig):
        if live or tasks:
            hint = "remove live teachers and tasks"
            raise ConfigError(f"{config.name} is not trained by steps", key=("live" if live else "tasks",), hint=hint)
        unheard = [objective.name for objective in objectives if objective.is_taught]
        if unheard:
            log.warning("%s: %s is not trained by steps, so it learns nothing from %s", label, config.name,
                        ", ".join(unheard))  # fmt: skip
        began = time.monotonic()
        return Fitted(config.build(split.labelled, knowledge, training.seed), seconds=time.monotonic() - began)
    for name in tasks or {}:
        if name == STUDENT or name in [teacher.id for teacher in live]:
            raise ConfigError(f"a live teacher is called {name!r} too", key=("tasks", name), hint="rename the task")
    place, choice = None if directory is None else Path(directory), None
    if len(objectives) == 1 and isinstance(objectives[0], Auto):
        if live:
            hint = "name the terms that read the live teachers"
            raise ConfigError("auto chooses among terms that read stored teachers", key=("live",), hint=hint)
        choice = choose(
            objectives[0], config, split, knowledge=knowledge, training=training, tasks=tasks or {}, directory=place,
            label=label,
        )  # fmt: skip
        objectives, place = choice.objectives, choice.directory
    if snapshots and place is None:
        raise ConfigError("snapshots need a directory", key=("directory",), hint="name one")
    loop = _Loop(config, split, objectives, knowledge, training, live, models or {}, place, start, tasks or {})
    if snapshots and place is not None:
        loop.snapshots = Snapshots(place / "snapshots", snapshots)
    with torch.random.fork_rng([loop.device] if loop.device.type == "cuda" else []):
        return replace(loop.run(label), choice=choice)


class _Loop:
    """State of one training."""

    def __init__(
        self, config: NeuralConfig, split: Split, objectives: Sequence[ObjectiveConfig], knowledge: Knowledge,
        training: Training, live: Sequence[LiveConfig], models: Mapping[str, RankingModel], directory: Path | None,
        start: NeuralModel | None, tasks: Mapping[str, SideTask],
    ) -> None:  # fmt: skip
        self.split, self.training, self.directory = split, training, directory
        self.device = pick_device(training.device)
        began = None if start is None else weights_hash(start)  # before objectives and training change it
        self.live, known = build_live(live, split, knowledge, models)
        self.student = Learner(config, split, objectives, known, training, self.device, start, tasks)
        prepare_live(self.live, self.student, split, known, training, self.device, models, directory)
        peers = {name: teacher.learner for name, teacher in self.live.items() if teacher.learner is not None}
        self.learners = {STUDENT: self.student, **peers}
        self.kept = {STUDENT: Kept(self.student.model, split.valid)}
        beside = {name: teacher.model for name, teacher in self.live.items() if teacher.model is not None}
        self.kept |= {name: Kept(model, split.valid) for name, model in beside.items()}
        self.kept |= {task.name: Kept(task.model, task.split.valid) for task in self.student.tasks if task.has_head}
        terms = self._terms()
        self.temperatures = wanted_temperatures(terms)
        at_step = {STUDENT, *(name for name, teacher in self.live.items() if teacher.at_step)}
        self.loader = build_loader(config, split, known, terms, training, self.device, at_step)
        self.run_hash = run_hash(config, training, self.student.objectives, split, known, began, tasks)
        self.probabilities = draw_probabilities(split, training.negatives_power).to(self.device)
        self.history: list[dict[str, Any]] = []
        self.teachers: dict[tuple[str, str], float] = {}  # on validation, for a learner that asked for it
        self.steps = 0
        self.started = start is not None
        self.snapshots: Snapshots | None = None

    def run(self, label: str) -> Fitted:
        self._resume()
        idle = [name for name in self.live if name not in self._asked()]
        if idle:
            log.warning("%s: no term reads the live teacher %s", label, ", ".join(idle))
        if self.started and not self.history and self.split.valid.targets.n_events:
            self.kept[STUDENT].score = self._score(self.kept[STUDENT])  # what is to be surpassed
        if not self.started and not self.history:
            tell_few_steps(label, self.loader.contexts, self.training)
        epochs = EpochLog(self.directory, self.history, self.training.tensorboard)
        saved = time.monotonic()
        with closing(epochs), track(label, self.training.epochs, "epochs", done=len(self.history)) as progress:
            while not self._finished():
                epochs.add(self._epoch(len(self.history) + 1, progress))
                if self.snapshots is not None:
                    self.snapshots.offer(len(self.history), self.student.model)
                if self._finished() or time.monotonic() - saved >= self.training.checkpoint_seconds:
                    self._save()
                    saved = time.monotonic()
        best = self.kept[STUDENT].epoch
        early = [] if self.snapshots is None else self.snapshots.before(best)
        models: dict[str, RankingModel] = {name: kept.restore() for name, kept in self.kept.items()}
        return Fitted(models.pop(STUDENT), self.history, best, self.seconds, beside=models, snapshots=early)

    def _asked(self) -> set[str]:
        """Names of the teachers that any term reads."""
        return {teacher for term in self._terms() for teacher in term.teachers}

    def _terms(self) -> list[Objective]:
        """Of all learners."""
        return [term for learner in self.learners.values() for term in learner.objectives.values()]

    @property
    def seconds(self) -> float:
        return float(sum(record["seconds"] for record in self.history))

    def _finished(self) -> bool:
        done, best = len(self.history), self.kept[STUDENT].epoch
        waited = (done - best) // self.training.evaluate_every  # best is 0 as long as nothing surpassed the start
        return done >= self.training.epochs or waited >= self.training.patience or self._over()

    def _over(self, more: float = 0.0) -> bool:
        """Whether the time is over, after so many seconds more than are recorded."""
        return self.training.max_minutes is not None and self.seconds + more > 60 * self.training.max_minutes

    def _epoch(self, epoch: int, progress: Progress) -> dict[str, Any]:
        start = time.monotonic()
        torch.manual_seed(self.training.seed * 1_000_003 + epoch)
        for teacher in self.live.values():
            teacher.before_epoch(epoch)
        for learner in self.learners.values():
            learner.model.train()
        weights = {name: learner.begin(self._moment(name, epoch)) for name, learner in self.learners.items()}
        weights[STUDENT] |= self.student.begin_tasks(self._moments_of_tasks(epoch))
        self.temperatures = self.loader.temperatures = wanted_temperatures(self._terms())
        sums: dict[str, dict[str, float]] = {name: {} for name in self.learners}
        n = 0
        with closing(self.loader.epoch(self.training.seed, epoch)) as steps:
            for step in steps:
                for name, values in self._step(step, weights, epoch).items():
                    for term, value in values.items():
                        sums[name][term] = sums[name].get(term, 0.0) + value * len(step.batch.labels)
                n += len(step.batch.labels)
        if not n:
            raise TrainingError("no training event has an earlier one", hint="a split with longer histories is needed")
        parts: dict[str, dict[str, Any]] = {
            name: {"weight": weights[name], "loss": {term: s / n for term, s in sums[name].items()}} for name in sums
        }
        for name, learner in self.learners.items():
            parts[name] |= learner.end()
        record: dict[str, Any] = {"epoch": epoch, **parts.pop(STUDENT)}
        for name, teacher in self.live.items():
            _part(record, name).update(parts.get(name, {}) | teacher.facts())
        self._validate(record, last=epoch == self.training.epochs or self._over(time.monotonic() - start))
        record["seconds"] = round(time.monotonic() - start, 4)
        self.history.append(record)
        progress.advance(1, self._note())
        return record

    def _validate(self, record: dict[str, Any], last: bool) -> None:
        epoch = record["epoch"]
        for name, kept in self.kept.items():
            if not kept.valid.targets.n_events:
                kept.keep(epoch)
            elif epoch % self.training.evaluate_every == 0 or last:
                score = self._score(kept)
                _part(record, name)["valid"] = {self.training.metric: score}
                kept.keep(epoch, score)

    def _moment(self, learner: str, epoch: int) -> Moment:
        """What a learner knows when an epoch begins."""
        history = [_about(record, learner) for record in self.history]
        return Moment(epoch, history, partial(self._lead, learner))

    def _moments_of_tasks(self, epoch: int) -> dict[str, Moment]:
        """The same for the terms of further tasks; one without a head is compared where its scores are used."""
        compared = {task.name: task.name if task.has_head else STUDENT for task in self.student.tasks}
        return {task: Moment(epoch, self.history, partial(self._lead, name)) for task, name in compared.items()}

    def _lead(self, learner: str, teacher: str) -> float:
        """How far a teacher's rankings are ahead of a learner, or of a task's head, on validation; see
        :class:`Moment`.
        """
        own = self._last_score(learner)
        if own == -math.inf:
            return 1.0
        theirs = self._stored_score(learner, teacher) if teacher in self.loader.stores else self._last_score(teacher)
        if theirs == -math.inf:
            hint = "it does not stand still and is not validated: use refuse: labels"
            raise KnowledgeError(f"{teacher!r} cannot be compared with the student on validation", hint=hint)
        return 1 - own / theirs if theirs > 0 else -1.0

    def _stored_score(self, learner: str, teacher: str) -> float:
        split = next((task.split for task in self.student.tasks if task.name == learner), self.split)
        if (learner, teacher) not in self.teachers:
            self.teachers[learner, teacher] = teacher_score(self.loader.stores[teacher], split, self.training.metric)
        return self.teachers[learner, teacher]

    def _last_score(self, name: str) -> float:
        """Of the student or a live teacher on validation, or what the student started with; -inf if there is none."""
        records = (_about(record, name) for record in reversed(self.history))
        scores = (float(record["valid"][self.training.metric]) for record in records if "valid" in record)
        return next(scores, self.kept[name].score if name in self.kept else -math.inf)

    def _score(self, kept: Kept) -> float:
        """Mean of the metric over the validation contexts."""
        k = int(self.training.metric.partition("@")[2])
        found = rank(kept.model, kept.valid, k, exclude_history=self.training.exclude_history)
        return float(np.nanmean(metric_values(found, kept.valid.targets, self.training.metric)))

    def _note(self) -> str:
        best = self.kept[STUDENT]
        return f"{self.training.metric} {best.score:.4f} (epoch {best.epoch})" if best.epoch else ""

    def _step(self, step: Step, weights: Mapping[str, Mapping[str, float]], epoch: int) -> dict[str, dict[str, float]]:
        """One step of every optimiser; the mean loss of each term that has a weight, by learner."""
        self.steps += 1
        learning = {name: learner for name, learner in self.learners.items() if learner.learns(weights[name])}
        if not learning:
            return {}
        asked = {teacher for name, learner in learning.items() for teacher in learner.reads(weights[name])}
        said = {
            name: learner.forward(step.batch, weights[name])
            for name, learner in self.learners.items()
            if name in learning or name in asked
        }
        rankings = dict(step.rankings)
        for name in sorted(asked - rankings.keys()):
            wanted = self.temperatures[name]
            if name == STUDENT:
                rankings[name] = ranked(said[name], step.batch, wanted, k=STUDENT_K, sequential=self.loader.sequential)
            else:
                rankings[name] = self.live[name].rankings(step, said, wanted)
        negatives, where = self._negatives(), f"epoch {epoch}, step {self.steps}"
        values = {}
        for name, learner in learning.items():
            lr = self._lr(learner.training, epoch)
            values[name] = learner.learn(
                said[name], step.batch, rankings, weights[name], lr=lr, negatives=negatives, where=where
            )
        for teacher in self.live.values():
            teacher.after_step()
        return values

    def _lr(self, training: Training, epoch: int) -> float:
        warmup = min(training.warmup, 2 * self.loader.steps)  # a small log must not spend its training on it
        rate = training.lr * min(1.0, self.steps / max(warmup, 1))
        if training.lr_decay == "cosine":
            rate *= (1 + math.cos(math.pi * (epoch - 1) / training.epochs)) / 2
        return rate

    def _negatives(self) -> Negatives | None:
        n = self.training.negatives
        return None if n is None else Negatives.draw(self.probabilities, n)

    def _save(self) -> None:
        if self.directory is not None:
            kept = {name: (kept.epoch, kept.score) for name, kept in self.kept.items()}
            progress = {"history": self.history, "steps": self.steps, "kept": kept}
            save_checkpoint(self.directory, self._modules(), self._optimisers(), self._best(), self.run_hash, progress)

    def _resume(self) -> None:
        if self.directory is None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        found = load_checkpoint(self.directory, self._modules(), self._optimisers(), tuple(self._best()), self.run_hash)
        if found is None:
            return
        best, progress = found
        self.history, self.steps = progress["history"], progress["steps"]
        for name, kept in self.kept.items():
            kept.best = best[_placed("best", name)]
            kept.epoch, kept.score = progress["kept"][name]
        for teacher in self.live.values():
            teacher.resume(len(self.history))

    def _modules(self) -> dict[str, nn.Module]:
        """Everything with weights, by its place in a checkpoint; the same for optimisers and best weights."""
        return {**self.student.modules, **{f"live {name}": teacher for name, teacher in self.live.items()}}

    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {_placed("optimiser", name): learner.optimiser for name, learner in self.learners.items()}

    def _best(self) -> dict[str, dict[str, Tensor]]:
        return {_placed("best", name): kept.best for name, kept in self.kept.items()}


def _placed(what: str, name: str) -> str:
    return what if name == STUDENT else f"{what} {name}"


def _about(record: dict[str, Any], name: str) -> dict[str, Any]:
    """What an epoch's record says about the student, or about what learns beside it."""
    found: dict[str, Any] = record if name == STUDENT else record.get("beside", {}).get(name, {})
    return found


def _part(record: dict[str, Any], name: str) -> dict[str, Any]:
    """The same, to be written to."""
    return record if name == STUDENT else record.setdefault("beside", {}).setdefault(name, {})
