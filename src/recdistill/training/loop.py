"""The one training loop: any model, any mix of objectives, with or without a teacher."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.dataset import Split
from ..errors import ConfigError, RecdistillError, TrainingError
from ..evaluation.metrics import metric_values
from ..evaluation.ranking import rank
from ..knowledge import Knowledge
from ..models.base import ModelConfig, RankingModel
from ..models.neural import NeuralConfig, NeuralModel
from ..objectives.base import FeatureObjective, Objective, ObjectiveConfig, ScoreObjective, Targets
from ..objectives.cross_entropy import CrossEntropy
from ..progress import Progress, track
from .batches import Loader, Step
from .checkpoint import load_checkpoint, save_checkpoint
from .config import Training
from .head import Negatives, catalogue_loss
from .log import EpochLog

__all__ = ["Fitted", "fit"]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted model and how it came about.

    Attributes:
        model: The model, with the weights of its best epoch.
        history: One record per epoch: ``epoch``, ``seconds``, ``loss`` by term, ``weight`` by term, ``valid``.
        best_epoch: Epoch of the weights, from 1; 0 for a model of closed form.
        seconds: Time spent, interruptions not counted.
    """

    model: RankingModel
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0


def fit(
    config: ModelConfig, split: Split, objectives: Sequence[ObjectiveConfig] = (CrossEntropy(),), *, knowledge: Knowledge | None = None,
    training: Training | None = None, directory: str | Path | None = None, label: str = "train",
) -> Fitted:  # fmt: skip
    """Fit a model to a split.

    Args:
        config: The model.
        split: Training events to learn from, validation contexts to stop by; the test part is not touched.
        objectives: Loss terms; ignored by models of closed form.
        knowledge: What teachers said, for distillation objectives and models with text inside.
        training: Parameters of the loop.
        directory: Holds ``epochs.jsonl`` and a checkpoint; a run interrupted there goes on from it.
        label: Name in the progress line.

    Raises:
        ConfigError: The objectives do not fit the model.
        KnowledgeError: Something an objective needs was not taught.
        TrainingError: A loss is not finite, or the directory holds another training.
    """
    training, knowledge = training or Training(), knowledge or Knowledge(())
    start = time.monotonic()
    if not isinstance(config, NeuralConfig):
        return Fitted(config.build(split, knowledge, training.seed), seconds=time.monotonic() - start)
    loop = _Loop(config, split, objectives, knowledge, training, None if directory is None else Path(directory))
    return loop.run(label)


class _Loop:
    """State of one training."""

    def __init__(
        self, config: NeuralConfig, split: Split, objectives: Sequence[ObjectiveConfig], knowledge: Knowledge, training: Training,
        directory: Path | None,
    ) -> None:  # fmt: skip
        self.split, self.training, self.directory = split, training, directory
        self.device = _device(training.device)
        self.model = _neural(config, split, knowledge, training.seed).to(self.device)
        self.objectives = {name: term.build() for name, term in _named(objectives).items()}
        for objective in self.objectives.values():
            objective.prepare(self.model, split, knowledge, training.seed)
        self.modules: dict[str, nn.Module] = {"model": self.model, "objectives": nn.ModuleDict(self.objectives)}
        self.optimiser = _optimiser(self.modules, training)
        self.loader = _loader(config, split, knowledge, self.objectives, training, self.device)
        self.popularity = _popularity(split, training, self.device) if training.negatives else None
        described = [
            config.name,
            config.model_dump(mode="json"),
            training.model_dump(mode="json", exclude={"max_minutes", "epochs"}),
        ]
        described += [[o.config.name, o.config.model_dump(mode="json")] for o in self.objectives.values()]
        described += [split.fingerprint, knowledge.digest()]
        self.run_hash = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] = _copy(self.model)
        self.best_score, self.best_epoch, self.seconds, self.steps = -math.inf, 0, 0.0, 0

    def run(self, label: str) -> Fitted:
        self._resume()
        log = EpochLog(self.directory, self.history, self.training.tensorboard)
        saved = time.monotonic()
        try:
            with track(label, self.training.epochs, "epochs", done=len(self.history)) as progress:
                while not self._finished():
                    log.add(self._epoch(len(self.history) + 1, progress))
                    if self.directory is not None and time.monotonic() - saved >= self.training.checkpoint_seconds:
                        self._save()
                        saved = time.monotonic()
        finally:
            log.close()
        if self.directory is not None:
            self._save()
        self.model.load_state_dict(self.best)
        return Fitted(self.model.eval(), self.history, self.best_epoch, self.seconds)

    def _finished(self) -> bool:
        done = len(self.history)
        waited = (done - self.best_epoch) // self.training.evaluate_every if self.best_epoch else 0
        over = self.training.max_minutes is not None and self.seconds > 60 * self.training.max_minutes
        return done >= self.training.epochs or waited >= self.training.patience or (over and done > 0)

    def _epoch(self, epoch: int, progress: Progress) -> dict[str, Any]:
        start = time.monotonic()
        torch.manual_seed(self.training.seed * 1_000_003 + epoch)
        self.model.train()
        weights = {name: o.config.weight.at(epoch - 1) for name, o in self.objectives.items()}  # type: ignore[attr-defined]
        sums, n = dict.fromkeys(self.objectives, 0.0), 0
        for step in self.loader.epoch(self.training.seed, epoch):
            for name, value in self._step(step, weights, epoch).items():
                sums[name] += value * len(step.batch.labels)
            n += len(step.batch.labels)
        if not n:
            raise TrainingError("no training event has an earlier one", hint="a split with longer histories is needed")
        record: dict[str, Any] = {"epoch": epoch, "weight": weights, "loss": {name: s / n for name, s in sums.items()}}
        self._validate(record, epoch)
        record["seconds"] = round(time.monotonic() - start, 4)
        self.seconds += time.monotonic() - start
        self.history.append(record)
        progress.advance(1, f"{self.training.metric} {self.best_score:.4f} (epoch {self.best_epoch})")
        return record

    def _validate(self, record: dict[str, Any], epoch: int) -> None:
        if epoch % self.training.evaluate_every and epoch < self.training.epochs:
            return
        score = _score(self.model, self.split, self.training)
        record["valid"] = {self.training.metric: score}
        if score > self.best_score:
            self.best, self.best_score, self.best_epoch = _copy(self.model), score, epoch

    def _step(self, step: Step, weights: dict[str, float], epoch: int) -> dict[str, float]:
        self.steps += 1
        for group in self.optimiser.param_groups:
            group["lr"] = self.training.lr * min(1.0, self.steps / max(self.training.warmup, 1))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.training.precision == "bf16"):
            table = self.model.table()
            hidden = self.model.hidden(step.batch, table)
        loss, values = self._loss(step, hidden, table, weights)
        for name, value in values.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss of {name!r} is {value}",
                    where=f"epoch {epoch}, step {self.steps}",
                    hint="lower lr or clip",
                )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(
            [p for group in self.optimiser.param_groups for p in group["params"]], self.training.clip
        )
        self.optimiser.step()
        return values

    def _loss(
        self, step: Step, hidden: Tensor, table: Tensor, weights: dict[str, float]
    ) -> tuple[Tensor, dict[str, float]]:
        batch = step.batch
        active = {name: o for name, o in self.objectives.items() if weights[name] > 0}
        on_scores = {name: o for name, o in active.items() if isinstance(o, ScoreObjective)}
        values = dict.fromkeys(self.objectives, 0.0)
        terms = [(o, weights[name]) for name, o in on_scores.items()]
        targets = Targets(batch.labels, batch.weights, step.rankings)
        loss, means = catalogue_loss(hidden, table, self.model.bias(), targets, terms, self._negatives())
        values |= dict(zip(on_scores, means, strict=True))
        for name, objective in active.items():
            if isinstance(objective, FeatureObjective):
                term = objective.loss(self.model, table, batch)
                values[name] = float(term.detach())
                loss = loss + weights[name] * term
        return loss, values

    def _negatives(self) -> Negatives | None:
        if self.popularity is None or self.training.negatives is None:
            return None
        items = torch.multinomial(self.popularity, self.training.negatives, replacement=True)
        return Negatives(items, torch.log(self.popularity[items] * self.training.negatives))

    def _save(self) -> None:
        assert self.directory is not None
        progress = {
            "run": self.run_hash, "history": self.history, "best_score": self.best_score, "best_epoch": self.best_epoch,
            "seconds": self.seconds, "steps": self.steps,
        }  # fmt: skip
        save_checkpoint(self.directory / "checkpoint", self.modules, self.optimiser, self.best, progress)

    def _resume(self) -> None:
        if self.directory is None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        found = load_checkpoint(self.directory / "checkpoint", self.modules, self.optimiser, self.run_hash)
        if found is not None:
            self.best, progress = found
            self.history, self.best_score, self.best_epoch = (
                progress["history"],
                progress["best_score"],
                progress["best_epoch"],
            )
            self.seconds, self.steps = progress["seconds"], progress["steps"]


def _score(model: NeuralModel, split: Split, training: Training) -> float:
    """Mean of the metric over the validation contexts."""
    k = int(training.metric.partition("@")[2])
    ranked = rank(model, split.valid, k, exclude_history=training.exclude_history)
    return float(np.nanmean(metric_values(ranked, split.valid.targets, training.metric)))


def _named(objectives: Sequence[ObjectiveConfig]) -> dict[str, ObjectiveConfig]:
    """Terms by name; a second one of a kind is numbered."""
    named: dict[str, ObjectiveConfig] = {}
    for objective in objectives:
        count = sum(name.partition("#")[0] == objective.name for name in named)
        named[f"{objective.name}#{count + 1}" if count else objective.name] = objective
    if not named:
        raise ConfigError("no objective to train by", key=("objectives",), hint="add cross-entropy")
    return named


def _neural(config: NeuralConfig, split: Split, knowledge: Knowledge, seed: int) -> NeuralModel:
    model = config.build(split, knowledge, seed)
    if not isinstance(model, NeuralModel):
        raise RecdistillError(f"{config.name}.build returned a {type(model).__name__}, not a NeuralModel")
    return model


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device 'cuda' is not available here", key=("training", "device"), hint="use 'auto' or 'cpu'")
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device 'mps' is not available here", key=("training", "device"), hint="use 'auto' or 'cpu'")
    return torch.device(wanted)


def _optimiser(modules: dict[str, nn.Module], training: Training) -> torch.optim.Optimizer:
    """AdamW; biases, norms and other vectors are not decayed."""
    parameters = [p for module in modules.values() for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": training.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=training.lr, fused=True)


def _loader(
    config: NeuralConfig,
    split: Split,
    knowledge: Knowledge,
    objectives: dict[str, Objective],
    training: Training,
    device: torch.device,
) -> Loader:
    temperatures: dict[str, tuple[float, ...]] = {}
    for objective in objectives.values():
        if objective.teacher is not None:
            temperatures[objective.teacher] = (*temperatures.get(objective.teacher, ()), *objective.temperatures)
    return Loader(
        split.train,
        split.n_items,
        length=config.max_length if config.sequential else 1,
        sequential=config.sequential,
        positions=training.batch,
        stores={teacher: knowledge.rankings(teacher)[0] for teacher in temperatures},
        temperatures=temperatures,
        device=device,
    )


def _popularity(split: Split, training: Training, device: torch.device) -> Tensor:
    counts = (split.popularity + 1.0) ** training.negatives_power
    return torch.from_numpy((counts / counts.sum()).astype(np.float32)).to(device)


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
