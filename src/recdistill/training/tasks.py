"""Further tasks of a student in training: labels, terms and a head of their own on the encoder that all share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import Split
from ..knowledge import Knowledge
from ..models.headed import Headed
from ..models.neural import Batch, NeuralModel
from ..objectives.base import Moment, Targets, TeacherRankings
from .setup import build_objectives
from .side_task import SideTask

__all__ = ["TaskTerms"]


class TaskTerms:
    """A side task in training.

    Args:
        name: Of the task.
        config: Its parameters.
        student: Whose encoder it uses.
        split: The student's view of the data.
        knowledge: What its terms read.
        seed: For initial weights of terms.
    """

    def __init__(
        self, name: str, config: SideTask, student: NeuralModel, split: Split, knowledge: Knowledge, seed: int
    ) -> None:
        self.name, self.config, self.split = name, config, config.labels.of(split)
        device, self.model = next(student.parameters()).device, student
        self.sequential = bool(getattr(student.config, "sequential", True))
        if config.head == "linear":
            self.model = Headed(model=student.config).over(student).to(device)
        found = build_objectives(config.objectives, student, self.split, knowledge, seed)
        self.objectives = {f"{name}/{term}": objective for term, objective in found.items()}
        for term, objective in self.objectives.items():
            objective.term = term
        train = self.split.train
        ends = np.full(len(train), -1)
        weights = np.ones(train.n_events, np.float32) if train.weights is None else train.weights
        items = np.where(weights > 0, train.items, -1)
        self.items = torch.from_numpy(np.concatenate([items, ends]).astype(np.int64)).to(device)
        self.weights = torch.from_numpy(np.concatenate([weights, np.zeros(len(train), np.float32)])).to(device)
        self.offsets = torch.from_numpy(train.offsets).to(device)

    @property
    def has_head(self) -> bool:
        """Whether it sees the states through a matrix of its own."""
        return self.config.head == "linear"

    def begin(self, moment: Moment) -> dict[str, float]:
        """Begin an epoch: the weight of each of its terms."""
        of_task = self.config.weight.at(moment.epoch - 1)
        return {name: of_task * objective.begin(moment) for name, objective in self.objectives.items()}

    def hidden(self, hidden: Tensor) -> Tensor:
        """The student's states as the task sees them: float ``[n, dim]``."""
        return hidden if self.config.head == "shared" else self.model.head(hidden)  # type: ignore[operator]

    def targets(self, batch: Batch, rankings: Mapping[str, TeacherRankings]) -> Targets:
        """The labels of this task at the positions of a batch, whatever those of the student are."""
        if self.sequential:
            at = batch.positions[:, None]
            return Targets(self.items[at], self.weights[at], rankings, batch.positions)
        place = torch.arange(batch.labels.shape[1], device=batch.labels.device)
        start, stop = self.offsets[batch.users], self.offsets[batch.users + 1]
        real = start[:, None] + place < stop[:, None]
        at = torch.where(real, start[:, None] + place, len(self.items) - 1)  # the end of a row: no label
        return Targets(self.items[at], self.weights[at], rankings, batch.positions)
