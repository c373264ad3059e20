"""Weights of loss terms that follow the terms themselves, beside what the schedules say."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from .config import Training

__all__ = ["Balance", "GradientNorm", "Uncertainty", "build_balance"]

_RATE = 0.05
"""Step of the gradient descent on log-variances: about 40 steps to follow a loss."""
_BOUND = 4.0
"""Log-variances stay within ±4: no factor outside 0.018 to 55."""
_EVERY = 20
"""Steps between two measurements of gradients: each costs a backward pass for every term."""
_PULL = 0.25
"""How far a factor goes towards what would give its term the wanted norm, in logarithms."""
_MEMORY = 0.95
"""Of the mean of a loss over the steps."""


class Balance(nn.Module, ABC):
    """Factors of the terms. Their state is part of checkpoints.

    Args:
        names: Of the terms that have a loss.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = list(names)

    @abstractmethod
    def factors(self) -> dict[str, float]:
        """What the weight of each term is multiplied by at present."""

    @property
    def measures(self) -> bool:
        """Whether it wants to know the norms of the gradients at this step."""
        return False

    @abstractmethod
    def learn(self, losses: Mapping[str, float], norms: Mapping[str, float]) -> None:
        """See a step.

        Args:
            losses: Mean loss of each term that had a weight.
            norms: Norm of the gradient of that loss, not weighted, where it was measured.
        """


class Uncertainty(Balance):
    """``exp(−s) · loss + s / 2`` with a log-variance ``s`` that is learned for each term.

    Kendall et al. 2018, https://arxiv.org/abs/1705.07115, in the form for classification. ``s`` follows its own
    gradient, ``1/2 − exp(−s) · loss``, in plain steps; in the end every term weighs ``1 / (2 · its loss)``.
    """

    logs: Tensor

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        self.register_buffer("logs", torch.zeros(len(names), dtype=torch.float64))

    def factors(self) -> dict[str, float]:
        return dict(zip(self.names, torch.exp(-self.logs).tolist(), strict=True))

    def learn(self, losses: Mapping[str, float], norms: Mapping[str, float]) -> None:
        for index, name in enumerate(self.names):
            if name in losses:
                s = float(self.logs[index])
                moved = s - _RATE * (0.5 - math.exp(-s) * losses[name])
                self.logs[index] = min(max(moved, -_BOUND), _BOUND)


class GradientNorm(Balance):
    """Factors, with mean 1, under which gradients have the norms that are wanted: GradNorm.

    The norm of term ``i`` shall be ``mean norm · (rate_i)^asymmetry``, where the rate is the share of its first loss
    that is left, relative to that of the other terms: what learns slowly is favoured. Chen et al. 2018,
    https://arxiv.org/abs/1711.02257. Variant: norms are those of the student's whole gradient, measured at every 20th
    step, and factors take steps in logarithms instead of a gradient's. The weights of the schedules come on top: they
    then say how large the terms' gradients are, relative to each other.

    Args:
        names: Of the terms that have a loss.
        asymmetry: How much a term that learns slowly is favoured; 0: equal norms.
    """

    logs: Tensor
    first: Tensor
    mean: Tensor
    steps: Tensor

    def __init__(self, names: Sequence[str], asymmetry: float) -> None:
        super().__init__(names)
        self.asymmetry = asymmetry
        for name in ("logs", "first", "mean"):
            self.register_buffer(name, torch.zeros(len(names), dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def factors(self) -> dict[str, float]:
        return dict(zip(self.names, torch.exp(self.logs).tolist(), strict=True))

    @property
    def measures(self) -> bool:
        return int(self.steps) % _EVERY == 0

    def learn(self, losses: Mapping[str, float], norms: Mapping[str, float]) -> None:
        self.steps += 1
        for index, name in enumerate(self.names):
            if name in losses:
                if not self.first[index]:
                    self.first[index] = self.mean[index] = losses[name]
                self.mean[index] = _MEMORY * self.mean[index] + (1 - _MEMORY) * losses[name]
        # a term without a gradient has nothing to balance; one whose loss began at 0 has no rate
        there = [i for i, name in enumerate(self.names) if norms.get(name, 0.0) > 0 and self.first[i] > 0]
        if len(there) > 1:
            self._pull(torch.tensor(there), torch.tensor([norms[self.names[i]] for i in there], dtype=torch.float64))

    def _pull(self, there: Tensor, norms: Tensor) -> None:
        weighted = torch.exp(self.logs[there]) * norms
        left = (self.mean[there] / self.first[there]).clamp_min(1e-6)
        wanted = weighted.mean() * (left / left.mean()) ** self.asymmetry
        self.logs[there] += _PULL * torch.log(wanted / weighted)
        factors = torch.exp(self.logs[there])
        self.logs[there] -= torch.log(factors.mean())


def build_balance(training: Training, names: Sequence[str]) -> Balance | None:
    """What a training asks for; None where the schedules alone count."""
    if training.balance == "uncertainty":
        return Uncertainty(names)
    if training.balance == "gradient-norm":
        return GradientNorm(names, training.asymmetry)
    return None
