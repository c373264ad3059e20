"""Shares of several teachers in a context, from what they say and from the label."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...data.dataset import Split
from ...models.neural import NeuralModel
from ..base import Targets
from ..lists.scene import LEAST_LOGP, NEVER, Scene

__all__ = ["Confidence", "LabelConfidence", "Margin", "Mean", "Mix", "entropy", "gains", "margin"]


class Mix(nn.Module, ABC):
    """Who is listened to. What it learns is trained along, is part of checkpoints, and is dropped afterwards."""

    sequential: bool = False
    """Whether it learns from what came next, which a student of users is not told."""

    def prepare(self, model: NeuralModel, split: Split, stores: Sequence[object], seed: int) -> None:
        """Look at student, data and the teachers' stores once, before the first step."""

    def look_ahead(self, targets: Targets, teachers: Sequence[str]) -> None:
        """Derive at once what is needed at each part of a step's positions; see :class:`~..base.ScoreObjective`."""

    @abstractmethod
    def forward(self, scenes: Sequence[Scene], answered: Tensor) -> Tensor:
        """The shares: float ``[n, teachers]``, at least 0; they are made to sum to 1 over those who answered.

        Args:
            scenes: What each teacher says at ``n`` positions.
            answered: bool ``[n, teachers]``.
        """

    def lesson(self) -> Tensor | None:
        """Its own loss at the positions of the last call: float ``[n]``; None if there is nothing to learn."""
        return None


class Mean(Mix):
    """All alike."""

    def forward(self, scenes: Sequence[Scene], answered: Tensor) -> Tensor:
        return answered.float()


class Confidence(Mix):
    """``exp(−sharpness · entropy)`` of each teacher's distribution.

    Entropy-based weights as in Kwon et al. 2020 (https://doi.org/10.1109/ICASSP40776.2020.9054698); the probability
    outside the list is taken to be spread evenly. Teachers should be calibrated, otherwise the loudest is listened to.
    """

    def __init__(self, sharpness: float) -> None:
        super().__init__()
        self.sharpness = sharpness

    def forward(self, scenes: Sequence[Scene], answered: Tensor) -> Tensor:
        return _softmax([-self.sharpness * entropy(scene) for scene in scenes], answered)


class Margin(Mix):
    """``exp(sharpness · margin)``; the margin of a teacher is how far its first item is ahead, in log-probability."""

    def __init__(self, sharpness: float) -> None:
        super().__init__()
        self.sharpness = sharpness

    def forward(self, scenes: Sequence[Scene], answered: Tensor) -> Tensor:
        return _softmax([self.sharpness * margin(scene) for scene in scenes], answered)


class LabelConfidence(Mix):
    """``(1 − softmax_t(cross-entropy of teacher t with the label)) / (teachers − 1)``; all alike without a label.

    CA-MKD (Zhang et al. 2022, https://arxiv.org/abs/2201.00007), without its part for features. A label that is not
    listed has the mean probability of those that are not; of several labels the mean counts.
    """

    sequential = True

    def forward(self, scenes: Sequence[Scene], answered: Tensor) -> Tensor:
        real = scenes[0].targets.labels >= 0
        logp = [scene.label_logp(scene.label_places).sum(1) / real.sum(1).clamp_min(1) for scene in scenes]
        others = torch.softmax((-torch.stack(logp, dim=1)).masked_fill(~answered, NEVER), dim=1)
        several = answered.sum(1, keepdim=True) > 1
        return torch.where(real.any(1, keepdim=True) & several, (1 - others) * answered, answered.float())


def gains(scenes: Sequence[Scene]) -> Tensor:
    """How well each teacher's list predicts the label: ``1 / log2(rank + 1)``, 0 if it is not there.

    The gain of NDCG (Järvelin and Kekäläinen 2002, https://doi.org/10.1145/582415.582418); float ``[n, teachers]``,
    NaN where there is no label. Of several labels the mean counts.
    """
    real = scenes[0].targets.labels >= 0
    columns = []
    for scene in scenes:
        at = scene.label_places
        gain = torch.where(at >= 0, 1 / torch.log2(at + 2.0), 0.0)
        columns.append((gain * real).sum(1) / real.sum(1))
    return torch.stack(columns, dim=1)


def entropy(scene: Scene) -> Tensor:
    """Entropy of the teacher's distribution in nats, what is not listed taken to be equally likely: float ``[n]``."""
    known, unlisted = scene.known, (scene.scores.n_items - scene.lengths[:, 0]).clamp_min(1)
    logp, tail = known.logp.clamp_min(NEVER), known.tails[1.0].clamp_min(LEAST_LOGP)
    return -(logp.exp() * logp).sum(1) - tail.exp() * (tail - unlisted.log())


def margin(scene: Scene) -> Tensor:
    """How far the first item is ahead of the second, or of all others together: float ``[n]``, nats."""
    logp, tail = scene.known.logp.clamp_min(LEAST_LOGP), scene.known.tails[1.0].clamp_min(LEAST_LOGP)
    return logp[:, 0] - (logp[:, 1] if logp.shape[1] > 1 else tail)


def _softmax(values: Sequence[Tensor], answered: Tensor) -> Tensor:
    return torch.softmax(torch.stack(list(values), dim=1).masked_fill(~answered, NEVER), dim=1)
