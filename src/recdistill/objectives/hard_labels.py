"""Hard labels: what the teacher ranks first counts as if it had been chosen."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ..data.dataset import Split
from ..knowledge import Knowledge
from ..models.neural import NeuralModel
from .base import ObjectiveConfig, ScoreObjective, Scores, Targets, the_only

__all__ = ["HardLabels", "HardLabelsLoss"]


class HardLabels(ObjectiveConfig):
    """Cross-entropy of the teacher's first ``k`` items: ``confidence · Σ_r w_r (log Σ_j exp(z_j) − z_r)``.

    ``w_r ∝ exp(−r / decay)``, summing to 1: the position weight of Ranking Distillation
    (Tang and Wang 2018, https://arxiv.org/abs/1809.07428). Scores of the teacher are not used, so it suits teachers
    whose scores mean little.
    """

    name: ClassVar[str] = "hard-labels"

    teacher: str | None = Field(None, description="whose rankings; needed only if several teachers left some")
    k: int = Field(5, ge=1, description="items of each list that count as labels")
    decay: float = Field(5.0, gt=0, description="ranks over which the weight falls by the factor e")

    def build(self) -> HardLabelsLoss:
        return HardLabelsLoss(self)


class HardLabelsLoss(ScoreObjective):
    """The term described by :class:`HardLabels`."""

    config: HardLabels

    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        self.teachers = (the_only(knowledge.rankings(self.config.teacher), split.fingerprint).manifest.teacher,)

    def loss(self, scores: Scores, targets: Targets) -> Tensor:
        known = targets.rankings[self.teachers[0]]
        items, listed = known.items[:, : self.config.k], ~known.logp[:, : self.config.k].isinf()
        ranks = torch.arange(items.shape[1], device=items.device)
        weights = torch.exp(-ranks / self.config.decay) * listed
        weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-12)
        losses = scores.logsumexp()[:, None] - scores.of(items)
        return known.confidence * (weights * losses).sum(1)
