"""Hard labels: what the teacher ranks first counts as if it had been chosen."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from .lists import ListConfig, RankingsObjective, Scene

__all__ = ["HardLabels", "HardLabelsLoss"]


class HardLabels(ListConfig):
    """Cross-entropy of the teacher's first ``k`` items: ``confidence · Σ_r w_r (log Σ_j exp(z_j) − z_r)``.

    ``w_r ∝ exp(−r / decay) · (1 + training events of r's item)^−debias``, summing to 1: the position weight of Ranking
    Distillation (Tang and Wang 2018, https://arxiv.org/abs/1809.07428) times an inverse propensity, which keeps a
    narrow student from learning popular items only. Scores of the teacher are not used, so it suits teachers whose
    scores mean little.
    """

    name: ClassVar[str] = "hard-labels"

    k: int = Field(5, ge=1, description="items of each list that count as labels")
    decay: float = Field(5.0, gt=0, description="ranks over which the weight falls by the factor e")
    debias: float = Field(0.0, ge=0, le=1, description="power of an item's popularity that its weight is divided by")

    def build(self) -> HardLabelsLoss:
        return HardLabelsLoss(self)


class HardLabelsLoss(RankingsObjective):
    """The term described by :class:`HardLabels`."""

    config: HardLabels

    def compared(self, scene: Scene) -> Tensor:
        known = scene.known
        items, listed = known.items[:, : self.config.k], ~known.logp[:, : self.config.k].isinf()
        ranks = torch.arange(items.shape[1], device=items.device)
        weights = torch.exp(-ranks / self.config.decay) * listed
        if self.config.debias:
            weights = weights * (1 + self.popularity[items]) ** -self.config.debias
        weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-12)
        losses = scene.scores.logsumexp()[:, None] - scene.scores.of(items)
        return (weights * losses).sum(1)
