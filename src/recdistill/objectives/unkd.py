"""Unbiased distillation: order inside groups of like popularity."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from ..data.dataset import Split
from ..knowledge import Knowledge
from ..models.neural import NeuralModel
from .lists import ListConfig, RankingsObjective, Scene

__all__ = ["UnKD", "UnKDLoss", "strata"]


class UnKD(ListConfig):
    """``confidence · mean over groups and pairs of −log σ(z_better − z_worse)``, both items of the same group.

    A teacher ranks popular items too high, and a student learns that first. So items are split by popularity into
    groups with the same number of events, and only the teacher's order inside a group is taught. Pairs are drawn by
    ``exp(−rank inside the group / scale)``, the better one by the teacher's list; a pair of twice the same item counts
    nothing. Chen et al. 2023, https://arxiv.org/abs/2211.14729; all
    defaults as in their published code. Variant: pairs come from the stored list only, so it
    should be long; a group with fewer than two listed items counts 0.
    """

    name: ClassVar[str] = "unkd"

    groups: int = Field(2, ge=1, description="groups of popularity")
    pairs: int = Field(15, ge=1, description="pairs drawn in each group")
    scale: float = Field(20.0, gt=0, description="ranks over which the probability to be drawn falls by the factor e")

    def build(self) -> UnKDLoss:
        return UnKDLoss(self)


class UnKDLoss(RankingsObjective):
    """The term described by :class:`UnKD`."""

    config: UnKD
    dense = False
    groups: Tensor

    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        super().prepare(model, split, knowledge, seed)
        self.register_buffer("groups", strata(self.popularity, self.config.groups), persistent=False)

    def compared(self, scene: Scene) -> Tensor:
        listed, group = ~scene.known.logp.isneginf(), self.groups[scene.known.items]
        losses = [self._group(scene, listed & (group == number)) for number in range(self.config.groups)]
        return torch.stack(losses).mean(0)

    def _group(self, scene: Scene, inside: Tensor) -> Tensor:
        """Mean loss of the pairs of one group; ``inside`` bool ``[n, k]``, the listed items that belong to it."""
        pairs, enough = self.config.pairs, inside.sum(1) > 1
        chances = torch.exp(-(inside.cumsum(1) - 1) / self.config.scale) * inside
        chances = torch.where(enough[:, None], chances, 1.0)
        drawn = torch.multinomial(chances, 2 * pairs, replacement=True).view(-1, pairs, 2)
        better, worse = drawn.amin(2), drawn.amax(2)
        scores = scene.scores.of(scene.known.items.gather(1, torch.cat([better, worse], dim=1)))
        counted = (better < worse) & enough[:, None]
        losses = softplus(scores[:, pairs:] - scores[:, :pairs]) * counted
        return losses.sum(1) / counted.sum(1).clamp_min(1)


def strata(popularity: Tensor, groups: int) -> Tensor:
    """Groups of items with about the same number of events: int64 ``[n_items]``, 0 for the most popular.

    Args:
        popularity: float ``[n_items]``, events of each item.
        groups: How many.
    """
    order = popularity.argsort(descending=True, stable=True)
    before = popularity[order].cumsum(0) - popularity[order] / 2  # up to the middle of each item
    numbers = (before / popularity.sum().clamp_min(1) * groups).long().clamp(0, groups - 1)
    return torch.empty_like(numbers).scatter_(0, order, numbers)
