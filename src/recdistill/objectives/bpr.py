"""Bayesian personalised ranking."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from .base import ObjectiveConfig, ScoreObjective, Scores, Targets
from .rows import contained

__all__ = ["BPR", "BPRLoss"]


class BPR(ObjectiveConfig):
    """``−log σ(z_label − z_negative)``, mean over uniformly sampled negatives, times the weight of the event.

    Every label of a position gets negatives of its own; one that is a label of the position counts nothing.
    Rendle et al. 2009, https://arxiv.org/abs/1205.2618.
    """

    name: ClassVar[str] = "bpr"

    negatives: int = Field(1, ge=1, description="sampled items per label")

    def build(self) -> BPRLoss:
        return BPRLoss(self)


class BPRLoss(ScoreObjective):
    """The term described by :class:`BPR`."""

    config: BPR
    dense = False

    def loss(self, scores: Scores, targets: Targets) -> Tensor:
        labels = targets.labels
        shape = (*labels.shape, self.config.negatives)
        negatives = torch.randint(scores.n_items, shape, device=labels.device).flatten(1)
        both = scores.of(torch.cat([labels.clamp_min(0), negatives], dim=1))
        own, others = both[:, : labels.shape[1], None], both[:, labels.shape[1] :].view(shape)
        losses = functional.softplus(others - own) * ~contained(negatives, labels).view(shape)
        return (targets.weights * losses.mean(dim=2)).sum(1)

    def asked(self, targets: Targets) -> int:
        return targets.labels.shape[1] * (1 + self.config.negatives)
