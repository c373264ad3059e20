"""The one training loop: any model, any mix of objectives, with or without a teacher."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.dataset import Split
from ..errors import TrainingError
from ..evaluation.metrics import metric_values
from ..evaluation.ranking import rank
from ..knowledge import Knowledge
from ..models.base import ModelConfig, RankingModel
from ..models.neural import NeuralConfig, NeuralModel
from ..objectives.auto import Auto
from ..objectives.base import ObjectiveConfig
from ..objectives.cross_entropy import CrossEntropy
from ..progress import Progress, track
from .auto import Choice, choose
from .batches import Step
from .checkpoint import load_checkpoint, save_checkpoint
from .config import Training
from .learner import Learner
from .log import EpochLog
from .sampled import Negatives
from .setup import (
    build_loader,
    draw_probabilities,
    pick_device,
    run_hash,
    weights_hash,
)

__all__ = ["Fitted", "fit"]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted model and how it came about.

    Attributes:
        model: The model, with the weights of its best epoch.
        history: One record per epoch: ``epoch``, ``seconds``, ``weight`` by term, ``loss`` by term (of those with a
            weight above 0), ``valid`` by metric where it was evaluated.
        best_epoch: Epoch of the weights, from 1; 0 for a model of closed form.
        seconds: Time spent, interruptions not counted.
        choice: How the terms were chosen, if that was left to ``auto``.
    """

    model: RankingModel
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0
    choice: Choice | None = None


def fit(
    config: ModelConfig,
    split: Split,
    objectives: Sequence[ObjectiveConfig] = (CrossEntropy(),),
    *,
    knowledge: Knowledge | None = None,
    training: Training | None = None,
    directory: str | Path | None = None,
    label: str = "train",
    start: NeuralModel | None = None,
) -> Fitted:
    """Fit a model to a split.

    Args:
        config: The model.
        split: Training events to learn from, validation contexts to stop by; the test part is not touched. Without
            validation targets, training goes on for all epochs and the last weights are kept.
        objectives: Loss terms; ignored by models of closed form.
        knowledge: What teachers said, for distillation objectives and models with text inside.
        training: Parameters of the loop.
        directory: Holds ``epochs.jsonl`` and a checkpoint; a run interrupted there goes on from it.
        label: Name in the progress line.
        start: A model of this config that is trained further, in place, instead of one with initial weights. It is also
            what is returned; without a better epoch it has the weights it came with.

    Raises:
        ConfigError: There is no objective to train by, or no such device.
        KnowledgeError: Something an objective needs was not taught, or was taught about other data.
        TrainingError: A loss is not finite, or the directory holds another training.
    """
    training, knowledge = training or Training(), knowledge or Knowledge(())
    if not isinstance(config, NeuralConfig):
        began = time.monotonic()
        return Fitted(config.build(split, knowledge, training.seed), seconds=time.monotonic() - began)
    place, choice = None if directory is None else Path(directory), None
    if len(objectives) == 1 and isinstance(objectives[0], Auto):
        choice = choose(
            objectives[0], config, split, knowledge=knowledge, training=training, directory=place, label=label
        )
        objectives, place = choice.objectives, choice.directory
    loop = _Loop(config, split, objectives, knowledge, training, place, start)
    with torch.random.fork_rng([loop.device] if loop.device.type == "cuda" else []):
        return replace(loop.run(label), choice=choice)


class _Loop:
    """State of one training."""

    def __init__(
        self, config: NeuralConfig, split: Split, objectives: Sequence[ObjectiveConfig], knowledge: Knowledge,
        training: Training, directory: Path | None, start: NeuralModel | None,
    ) -> None:  # fmt: skip
        self.split, self.training, self.directory = split, training, directory
        self.device = pick_device(training.device)
        began = None if start is None else weights_hash(start)  # before objectives and training change it
        self.student = Learner(config, split, objectives, knowledge, training, self.device, start)
        terms = self.student.objectives
        self.loader = build_loader(config, split, knowledge, terms.values(), training, self.device)
        self.run_hash = run_hash(config, training, terms, split, knowledge, began)
        self.probabilities = draw_probabilities(split, training.negatives_power).to(self.device)
        self.history: list[dict[str, Any]] = []
        self.steps = 0
        self.floor = -math.inf  # what the start scores
        self.started = start is not None

    def run(self, label: str) -> Fitted:
        self._resume()
        if self.started and not self.history and self.split.valid.targets.n_events:
            self.floor = self._score()
        log = EpochLog(self.directory, self.history, self.training.tensorboard)
        saved = time.monotonic()
        with closing(log), track(label, self.training.epochs, "epochs", done=len(self.history)) as progress:
            while not self._finished():
                log.add(self._epoch(len(self.history) + 1, progress))
                if self._finished() or time.monotonic() - saved >= self.training.checkpoint_seconds:
                    self._save()
                    saved = time.monotonic()
        self.student.model.load_state_dict(self.student.best)
        return Fitted(self.student.model.eval(), self.history, self.student.best_epoch, self.seconds)

    @property
    def seconds(self) -> float:
        return float(sum(record["seconds"] for record in self.history))

    @property
    def best_score(self) -> float:
        record = self.history[self.student.best_epoch - 1] if self.student.best_epoch else {}
        return float(record.get("valid", {}).get(self.training.metric, self.floor))

    def _finished(self) -> bool:
        done, best = len(self.history), self.student.best_epoch
        waited = (done - best) // self.training.evaluate_every if best else 0
        over = self.training.max_minutes is not None and self.seconds > 60 * self.training.max_minutes
        return done >= self.training.epochs or waited >= self.training.patience or over

    def _epoch(self, epoch: int, progress: Progress) -> dict[str, Any]:
        start = time.monotonic()
        torch.manual_seed(self.training.seed * 1_000_003 + epoch)
        self.student.model.train()
        weights = self.student.begin(epoch)
        sums: dict[str, float] = {}
        n = 0
        with closing(self.loader.epoch(self.training.seed, epoch)) as steps:
            for step in steps:
                for name, value in self._step(step, weights, epoch).items():
                    sums[name] = sums.get(name, 0.0) + value * len(step.batch.labels)
                n += len(step.batch.labels)
        if not n:
            raise TrainingError("no training event has an earlier one", hint="a split with longer histories is needed")
        record: dict[str, Any] = {"epoch": epoch, "weight": weights, "loss": {name: s / n for name, s in sums.items()}}
        self._validate(record)
        record["seconds"] = round(time.monotonic() - start, 4)
        self.history.append(record)
        progress.advance(1, self._note())
        return record

    def _validate(self, record: dict[str, Any]) -> None:
        epoch = record["epoch"]
        if not self.split.valid.targets.n_events:
            self.student.keep(epoch)
        elif epoch % self.training.evaluate_every == 0 or epoch == self.training.epochs:
            score = self._score()
            record["valid"] = {self.training.metric: score}
            if score > self.best_score:
                self.student.keep(epoch)

    def _score(self) -> float:
        """Mean of the metric over the validation contexts."""
        k = int(self.training.metric.partition("@")[2])
        ranked = rank(self.student.model, self.split.valid, k, exclude_history=self.training.exclude_history)
        return float(np.nanmean(metric_values(ranked, self.split.valid.targets, self.training.metric)))

    def _note(self) -> str:
        best = self.student.best_epoch
        return f"{self.training.metric} {self.best_score:.4f} (epoch {best})" if best else ""

    def _step(self, step: Step, weights: dict[str, float], epoch: int) -> dict[str, float]:
        """One step of the optimiser; the mean loss of each term that has a weight."""
        self.steps += 1
        if not self.student.learns(weights):
            return {}
        said = self.student.forward(step.batch, weights)
        return self.student.learn(
            said, step.batch, step.rankings, weights,
            lr=self._lr(epoch), negatives=self._negatives(), where=f"epoch {epoch}, step {self.steps}",
        )  # fmt: skip

    def _lr(self, epoch: int) -> float:
        warmup = min(self.training.warmup, 2 * self.loader.steps)  # a small log must not spend its training on it
        rate = self.training.lr * min(1.0, self.steps / max(warmup, 1))
        if self.training.lr_decay == "cosine":
            rate *= (1 + math.cos(math.pi * (epoch - 1) / self.training.epochs)) / 2
        return rate

    def _negatives(self) -> Negatives | None:
        n = self.training.negatives
        return None if n is None else Negatives.draw(self.probabilities, n)

    def _save(self) -> None:
        if self.directory is not None:
            best = self.student.best_epoch
            progress = {"history": self.history, "best_epoch": best, "steps": self.steps, "floor": self.floor}
            learner = self.student
            save_checkpoint(self.directory, learner.modules, learner.optimiser, learner.best, self.run_hash, progress)

    def _resume(self) -> None:
        if self.directory is None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        found = load_checkpoint(self.directory, self.student.modules, self.student.optimiser, self.run_hash)
        if found is not None:
            self.student.best, progress = found
            self.history, self.steps = progress["history"], progress["steps"]
            self.student.best_epoch, self.floor = progress["best_epoch"], progress["floor"]
