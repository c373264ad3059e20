"""Softmax cross-entropy of the label."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from .base import ObjectiveConfig, ScoreObjective, Scores, Targets

__all__ = ["CrossEntropy", "CrossEntropyLoss"]


class CrossEntropy(ObjectiveConfig):
    """``log Σ_j exp(z_j) − z_label`` over the whole catalogue, times the weight of the event.

    Event weights come from the log (repeats, ratings, any column mapped to ``weight``): the w_ui of weighted
    matrix factorisation and weighted distillation.
    """

    name: ClassVar[str] = "cross-entropy"

    def build(self) -> CrossEntropyLoss:
        return CrossEntropyLoss(self)


class CrossEntropyLoss(ScoreObjective):
    """The term described by :class:`CrossEntropy`."""

    def loss(self, scores: Scores, targets: Targets) -> Tensor:
        return targets.weights * (scores.logsumexp() - scores.of(targets.labels[:, None])[:, 0])
