"""Bayesian personalised ranking."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from .base import ObjectiveConfig, ScoreObjective, Scores, Targets

__all__ = ["BPR", "BPRLoss"]


class BPR(ObjectiveConfig):
    """``−log σ(z_label − z_negative)``, mean over uniformly sampled negatives, times the weight of the event.

    A sampled negative that is the label counts nothing. Rendle et al. 2009, https://arxiv.org/abs/1205.2618.
    """

    name: ClassVar[str] = "bpr"

    negatives: int = Field(1, ge=1, description="sampled items per position")

    def build(self) -> BPRLoss:
        return BPRLoss(self)


class BPRLoss(ScoreObjective):
    """The term described by :class:`BPR`."""

    config: BPR
    dense: ClassVar[bool] = False

    def loss(self, scores: Scores, targets: Targets) -> Tensor:
        shape = (len(targets.labels), self.config.negatives)
        negatives = torch.randint(scores.n_items, shape, device=targets.labels.device)
        labels = targets.labels[:, None]
        both = scores.of(torch.cat([labels, negatives], dim=1))
        losses = functional.softplus(both[:, 1:] - both[:, :1]) * (negatives != labels)
        return targets.weights * losses.mean(dim=1)
