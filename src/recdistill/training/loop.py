"""The one training loop: any model, any mix of objectives, with or without a teacher."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.dataset import Split
from ..errors import TrainingError
from ..evaluation.metrics import metric_values
from ..evaluation.ranking import rank
from ..knowledge import Knowledge
from ..models.base import ModelConfig, RankingModel
from ..models.neural import NeuralConfig
from ..objectives.base import FeatureObjective, ObjectiveConfig, ScoreObjective, Targets
from ..objectives.cross_entropy import CrossEntropy
from ..progress import Progress, track
from .batches import Step
from .checkpoint import load_checkpoint, save_checkpoint
from .config import Training
from .head import catalogue_loss
from .log import EpochLog
from .sampled import Negatives
from .setup import (
    build_loader,
    build_model,
    build_objectives,
    build_optimiser,
    draw_probabilities,
    pick_device,
    run_hash,
)

__all__ = ["Fitted", "fit"]

_LOSSES = (ScoreObjective, FeatureObjective)
"""Objectives that have a loss; others only prepare."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted model and how it came about.

    Attributes:
        model: The model, with the weights of its best epoch.
        history: One record per epoch: ``epoch``, ``seconds``, ``weight`` by term, ``loss`` by term (of those with a
            weight above 0), ``valid`` by metric where it was evaluated.
        best_epoch: Epoch of the weights, from 1; 0 for a model of closed form.
        seconds: Time spent, interruptions not counted.
    """

    model: RankingModel
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0


def fit(
    config: ModelConfig,
    split: Split,
    objectives: Sequence[ObjectiveConfig] = (CrossEntropy(),),
    *,
    knowledge: Knowledge | None = None,
    training: Training | None = None,
    directory: str | Path | None = None,
    label: str = "train",
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

    Raises:
        ConfigError: There is no objective to train by, or no such device.
        KnowledgeError: Something an objective needs was not taught, or was taught about other data.
        TrainingError: A loss is not finite, or the directory holds another training.
    """
    training, knowledge = training or Training(), knowledge or Knowledge(())
    start = time.monotonic()
    if not isinstance(config, NeuralConfig):
        return Fitted(config.build(split, knowledge, training.seed), seconds=time.monotonic() - start)
    loop = _Loop(config, split, objectives, knowledge, training, None if directory is None else Path(directory))
    with torch.random.fork_rng([loop.device] if loop.device.type == "cuda" else []):
        return loop.run(label)


class _Loop:
    """State of one training."""

    def __init__(
        self, config: NeuralConfig, split: Split, objectives: Sequence[ObjectiveConfig], knowledge: Knowledge,
        training: Training, directory: Path | None,
    ) -> None:  # fmt: skip
        self.split, self.training, self.directory = split, training, directory
        self.device = pick_device(training.device)
        self.model = build_model(config, split, knowledge, training.seed).to(self.device)
        self.objectives = build_objectives(objectives, self.model, split, knowledge, training.seed)
        self.modules: dict[str, nn.Module] = {"model": self.model, "objectives": nn.ModuleDict(self.objectives)}
        self.optimiser = build_optimiser(self.modules.values(), training)
        self.loader = build_loader(config, split, knowledge, self.objectives.values(), training, self.device)
        self.run_hash = run_hash(config, training, self.objectives, split, knowledge)
        self.probabilities = draw_probabilities(split, training.negatives_power).to(self.device)
        self.history: list[dict[str, Any]] = []
        self.best, self.best_epoch, self.steps = _copy(self.model), 0, 0

    def run(self, label: str) -> Fitted:
        self._resume()
        log = EpochLog(self.directory, self.history, self.training.tensorboard)
        saved = time.monotonic()
        with closing(log), track(label, self.training.epochs, "epochs", done=len(self.history)) as progress:
            while not self._finished():
                log.add(self._epoch(len(self.history) + 1, progress))
                if self._finished() or time.monotonic() - saved >= self.training.checkpoint_seconds:
                    self._save()
                    saved = time.monotonic()
        self.model.load_state_dict(self.best)
        return Fitted(self.model.eval(), self.history, self.best_epoch, self.seconds)

    @property
    def seconds(self) -> float:
        return float(sum(record["seconds"] for record in self.history))

    @property
    def best_score(self) -> float:
        record = self.history[self.best_epoch - 1] if self.best_epoch else {}
        return float(record.get("valid", {}).get(self.training.metric, -math.inf))

    def _finished(self) -> bool:
        done = len(self.history)
        waited = (done - self.best_epoch) // self.training.evaluate_every if self.best_epoch else 0
        over = self.training.max_minutes is not None and self.seconds > 60 * self.training.max_minutes
        return done >= self.training.epochs or waited >= self.training.patience or over

    def _epoch(self, epoch: int, progress: Progress) -> dict[str, Any]:
        start = time.monotonic()
        torch.manual_seed(self.training.seed * 1_000_003 + epoch)
        self.model.train()
        weights = {name: objective.weight.at(epoch - 1) for name, objective in self.objectives.items()}
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
            self.best, self.best_epoch = _copy(self.model), epoch
        elif epoch % self.training.evaluate_every == 0 or epoch == self.training.epochs:
            score = self._score()
            record["valid"] = {self.training.metric: score}
            if score > self.best_score:
                self.best, self.best_epoch = _copy(self.model), epoch

    def _score(self) -> float:
        """Mean of the metric over the validation contexts."""
        k = int(self.training.metric.partition("@")[2])
        ranked = rank(self.model, self.split.valid, k, exclude_history=self.training.exclude_history)
        return float(np.nanmean(metric_values(ranked, self.split.valid.targets, self.training.metric)))

    def _note(self) -> str:
        return f"{self.training.metric} {self.best_score:.4f} (epoch {self.best_epoch})" if self.best_epoch else ""

    def _step(self, step: Step, weights: dict[str, float], epoch: int) -> dict[str, float]:
        """One step of the optimiser; the mean loss of each term that has a weight."""
        self.steps += 1
        if not any(weights[name] > 0 for name, objective in self.objectives.items() if isinstance(objective, _LOSSES)):
            return {}
        for group in self.optimiser.param_groups:
            group["lr"] = self._lr(epoch)
        loss, values = self._loss(step, weights)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.training.clip)
        numbers = torch.stack([*values.values(), norm.to(loss)]).tolist()  # one wait for the device
        for what, number in zip([*map("the loss of {!r}".format, values), "the gradient"], numbers, strict=True):
            if not math.isfinite(number):
                where = f"epoch {epoch}, step {self.steps}"
                raise TrainingError(f"{what} is {number}", where=where, hint="lower lr or clip")
        self.optimiser.step()
        return dict(zip(values, numbers, strict=False))

    def _loss(self, step: Step, weights: dict[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum of all terms, and each of them."""
        active = {name: objective for name, objective in self.objectives.items() if weights[name] > 0}
        on_scores = {name: o for name, o in active.items() if isinstance(o, ScoreObjective)}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.training.precision == "bf16"):
            table = self.model.table()
            hidden = self.model.hidden(step.batch, table) if on_scores else None
        loss, values = table.new_zeros((), dtype=torch.float32), {}
        if hidden is not None:
            terms = [(objective, weights[name]) for name, objective in on_scores.items()]
            targets = Targets(step.batch.labels, step.batch.weights, step.rankings)
            loss, means = catalogue_loss(hidden, table, self.model.bias(), targets, terms, self._negatives())
            values = dict(zip(on_scores, means, strict=True))
        for name, objective in active.items():
            if isinstance(objective, FeatureObjective):
                term = objective.loss(self.model, table, step.batch)
                loss, values[name] = loss + weights[name] * term, term.detach()
        return loss, values

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
            progress = {"history": self.history, "best_epoch": self.best_epoch, "steps": self.steps}
            save_checkpoint(self.directory, self.modules, self.optimiser, self.best, self.run_hash, progress)

    def _resume(self) -> None:
        if self.directory is None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        found = load_checkpoint(self.directory, self.modules, self.optimiser, self.run_hash)
        if found is not None:
            self.best, progress = found
            self.history, self.best_epoch, self.steps = progress["history"], progress["best_epoch"], progress["steps"]


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
