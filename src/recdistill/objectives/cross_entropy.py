"""Softmax cross-entropy of the label."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from .base import ObjectiveConfig, ScoreObjective, Scores, Targets

__all__ = ["CrossEntropy", "CrossEntropyLoss"]


class CrossEntropy(ObjectiveConfig):
    """``Σ_labels w_label (log Σ_j exp(z_j) − z_label)`` over the whole catalogue, w the weight of the event.

    A history has one label, what followed it; a user has all of their items, which makes it the multinomial likelihood
    (Liang et al. 2018, https://arxiv.org/abs/1802.05814); a context without labels counts 0. Event weights come from
    the log (repeats, ratings, any column mapped to ``weight``): the w_ui of weighted matrix factorisation and weighted
    distillation.
    """

    name: ClassVar[str] = "cross-entropy"

    def build(self) -> CrossEntropyLoss:
        return CrossEntropyLoss(self)


class CrossEntropyLoss(ScoreObjective):
    """The term described by :class:`CrossEntropy`."""

    def loss(self, scores: Scores, targets: Targets) -> Tensor:
        own = scores.of(targets.labels.clamp_min(0))
        return (targets.weights * (scores.logsumexp()[:, None] - own)).sum(1)
