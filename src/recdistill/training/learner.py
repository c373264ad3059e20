"""A model that learns in the loop, with its loss terms and its optimiser: the student, and whoever learns beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..data.dataset import Contexts, Split
from ..errors import TrainingError
from ..knowledge import Knowledge
from ..models.headed import HeadedModel
from ..models.neural import Batch, NeuralConfig, NeuralModel
from ..models.watch import watched
from ..objectives.base import (
    FeatureObjective,
    Features,
    Moment,
    ObjectiveConfig,
    ScoreObjective,
    Targets,
    TeacherRankings,
)
from .balance import build_balance
from .config import Training
from .head import catalogue_loss
from .sampled import Negatives
from .seen import seen
from .setup import build_model, build_objectives, build_optimiser
from .side_task import SideTask
from .tasks import TaskTerms

__all__ = ["Forward", "Kept", "Learner"]

_LOSSES = (ScoreObjective, FeatureObjective)
"""Objectives that have a loss; others only prepare."""


@dataclass(frozen=True, slots=True)
class Forward:
    """What a network says in one step.

    Attributes:
        table: float ``[n_items, dim]``, item vectors.
        bias: float ``[n_items]`` or None.
        hidden: float ``[n, dim]``, states at the contexts.
        outputs: What the modules returned that a term watches.
    """

    table: Tensor
    bias: Tensor | None
    hidden: Tensor
    outputs: Mapping[nn.Module, Tensor] = field(default_factory=dict)


class Kept:
    """The best weights of a model so far.

    Attributes:
        model: The model.
        valid: The contexts it is validated on.
        best: Its best weights.
        epoch: The epoch they are of, from 1; 0 before the first.
        score: On validation; -inf where it was not validated.
    """

    def __init__(self, model: NeuralModel, valid: Contexts) -> None:
        self.model, self.valid, self.epoch, self.score = model, valid, 0, -math.inf
        self.best = self._weights()

    def keep(self, epoch: int, score: float | None = None) -> None:
        """Keep the present weights, unless earlier ones were as good.

        Args:
            epoch: From 1.
            score: On validation; None where there is none, which keeps the latest.
        """
        if score is None or score > self.score:
            self.best, self.epoch = self._weights(), epoch
            self.score = self.score if score is None else score

    def restore(self) -> NeuralModel:
        """The model with its best weights, no longer in training."""
        self.model.load_state_dict(self.best)
        return self.model.eval()

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}


class Learner:
    """A model in training.

    Args:
        config: The model.
        split: Training events and validation contexts.
        objectives: Its loss terms.
        knowledge: What they read.
        training: Parameters of the loop.
        device: Where the model lives.
        start: A model to train further, in place of one with initial weights.
        tasks: Further tasks by name.
    """

    def __init__(
        self, config: NeuralConfig, split: Split, objectives: Sequence[ObjectiveConfig], knowledge: Knowledge,
        training: Training, device: torch.device, start: NeuralModel | None = None,
        tasks: Mapping[str, SideTask] | None = None,
    ) -> None:  # fmt: skip
        self.training, self.device = training, device
        self.model = (start or build_model(config, split, knowledge, training.seed)).to(device)
        self.objectives = build_objectives(objectives, self.model, split, knowledge, training.seed)
        self.tasks = [
            TaskTerms(name, task, self.model, split, knowledge, training.seed) for name, task in (tasks or {}).items()
        ]
        for task in self.tasks:
            self.objectives |= task.objectives
        self.modules: dict[str, nn.Module] = {"model": self.model, "objectives": nn.ModuleDict(self.objectives)}
        heads = {task.name: task.model.head for task in self.tasks if isinstance(task.model, HeadedModel)}
        if heads:
            self.modules["heads"] = nn.ModuleDict(heads)
        self.optimiser = build_optimiser(self.modules.values(), training)
        self.balance = build_balance(training, [n for n, o in self.objectives.items() if isinstance(o, _LOSSES)])
        if self.balance is not None:
            self.modules["balance"] = self.balance

    def begin(self, moment: Moment) -> dict[str, float]:
        """Begin an epoch: the weight of each term in it; those of further tasks begin with :meth:`begin_tasks`."""
        return {n: objective.begin(moment) for n, objective in self.objectives.items() if self._task_of(n) is None}

    def begin_tasks(self, moments: Mapping[str, Moment]) -> dict[str, float]:
        """The same for the terms of further tasks.

        Args:
            moments: By name of the task.
        """
        weights: dict[str, float] = {}
        for task in self.tasks:
            weights |= task.begin(moments[task.name])
        return weights

    def end(self) -> dict[str, Any]:
        """What there is to say about the epoch that is over beside its losses, for its record."""
        trust = {name: said for name, objective in self.objectives.items() if (said := objective.end())}
        balance = {} if self.balance is None else {"balance": self.balance.factors()}
        return balance | ({"trust": trust} if trust else {})

    def reads(self, weights: Mapping[str, float]) -> set[str]:
        """Teachers whose rankings the terms with a weight read."""
        return {t for name, objective in self.objectives.items() if weights[name] > 0 for t in objective.teachers}

    def learns(self, weights: Mapping[str, float]) -> bool:
        """Whether any term with a loss has a weight."""
        return any(weights[name] > 0 for name, objective in self.objectives.items() if isinstance(objective, _LOSSES))

    def forward(self, batch: Batch, weights: Mapping[str, float]) -> Forward:
        """Run the network.

        Args:
            batch: The windows of a step.
            weights: Of the terms.
        """
        inside = [o for name, o in self.objectives.items() if weights[name] > 0 and isinstance(o, FeatureObjective)]
        wanted = [module for objective in inside for module in objective.watches(self.model)]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.training.precision == "bf16"):
            table = self.model.table()
            with watched(wanted) as outputs:
                hidden = self.model.hidden(batch, table)
        return Forward(table, self.model.bias(), hidden, outputs)

    def learn(
        self, said: Forward, batch: Batch, rankings: Mapping[str, TeacherRankings], weights: Mapping[str, float],
        *, lr: float, negatives: Negatives | None, where: str,
    ) -> dict[str, float]:  # fmt: skip
        """One step of the optimiser.

        Args:
            said: What the network says to the batch.
            batch: The windows of the step.
            rankings: Teacher name to its rankings at every position.
            weights: Of the terms.
            lr: Learning rate.
            negatives: Estimate log-sum-exps from these items instead of all.
            where: Names the step in messages.

        Returns:
            The mean loss of each term that has a weight.

        Raises:
            TrainingError: A loss or the gradient is not finite.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.optimiser.zero_grad(set_to_none=True)  # first: what terms on scores train along gets its gradient at once
        apart = self.balance is not None and self.balance.measures
        balanced = weights if self.balance is None else _times(weights, self.balance.factors())
        losses, values = self._losses(said, batch, rankings, balanced, negatives, apart=apart)
        norms = {name: self._norm(loss) / balanced[name] for name, loss in losses.items()} if apart else {}
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.training.clip)
        numbers = torch.stack([*values.values(), norm.to(loss)]).tolist()  # one wait for the device
        for what, number in zip([*map("the loss of {!r}".format, values), "the gradient"], numbers, strict=True):
            if not math.isfinite(number):
                raise TrainingError(f"{what} is {number}", where=where, hint="lower lr or clip")
        self.optimiser.step()
        means = dict(zip(values, numbers, strict=False))
        if self.balance is not None:
            self.balance.learn(means, norms)
        return means

    def _losses(
        self, said: Forward, batch: Batch, rankings: Mapping[str, TeacherRankings], weights: Mapping[str, float],
        negatives: Negatives | None, apart: bool,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:  # fmt: skip
        """Weighted losses, those on scores together unless ``apart``; and each term without its weight."""
        active = {name: objective for name, objective in self.objectives.items() if weights[name] > 0}
        on_scores = {name: objective for name, objective in active.items() if isinstance(objective, ScoreObjective)}
        losses: dict[str, Tensor] = {}
        values: dict[str, Tensor] = {}
        history = None
        if rankings and getattr(self.model.config, "sequential", True) and self.training.exclude_history:
            history = seen(batch, sequential=True, n_items=len(said.table))
        for task, names in self._together(list(on_scores), apart):
            own = Targets(batch.labels, batch.weights, rankings, batch.positions)
            targets = replace(own if task is None else task.targets(batch, rankings), history=history)
            hidden = said.hidden if task is None else task.hidden(said.hidden)
            terms = [(on_scores[name], weights[name]) for name in names]
            losses[names[0]], means = catalogue_loss(hidden, said.table, said.bias, targets, terms, negatives)
            values |= zip(names, means, strict=True)
        features = Features(self.model, said.table, batch, said.hidden, rankings, said.outputs)
        for name, objective in active.items():
            if isinstance(objective, FeatureObjective):
                term = objective.loss(features)
                losses[name], values[name] = weights[name] * term, term.detach()
        return losses, values

    def _together(self, names: Sequence[str], apart: bool) -> list[tuple[TaskTerms | None, list[str]]]:
        """Terms on scores that are computed in one pass: all of a task, or each of them."""
        by_task = [(task, [n for n in names if self._task_of(n) is task]) for task in (None, *self.tasks)]
        if apart:
            return [(task, [name]) for task, own in by_task for name in own]
        return [(task, own) for task, own in by_task if own]

    def _task_of(self, name: str) -> TaskTerms | None:
        return next((task for task in self.tasks if name in task.objectives), None)

    def _norm(self, loss: Tensor) -> float:
        """Norm of the gradient of a loss with respect to the model, which all tasks share."""
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        return float(torch.stack([g.norm() for g in found if g is not None]).norm())


def _times(weights: Mapping[str, float], factors: Mapping[str, float]) -> dict[str, float]:
    return {name: weight * factors.get(name, 1.0) for name, weight in weights.items()}
