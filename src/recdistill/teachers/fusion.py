"""Choosing fusion weights and temperatures by what validation users did next."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import Contexts
from ..errors import TeacherError
from .ranking import hide

__all__ = ["Validation", "best_temperature", "search_weights"]

_NUMBERS = 1 << 26
"""Scores of all members that are held at once: 256 MB."""


@dataclass(frozen=True)
class Validation:
    """Validation contexts and their targets.

    Attributes:
        contexts: Those that are looked at.
        rows: int64 ``[targets]``, the context of each target.
        targets: int64 ``[targets]``.
        hidden: Whether items of the history get no probability.
    """

    contexts: Contexts
    rows: Tensor
    targets: Tensor
    hidden: bool

    @classmethod
    def of(cls, contexts: Contexts, most: int, numbers: int, hidden: bool) -> Validation:
        """An even spread of at most ``most`` contexts that have targets, fewer if each needs many ``numbers``.

        Where the history is hidden a target in it can never be found, whatever the weights are, and is left out.

        Raises:
            TeacherError: No context has a target.
        """
        if hidden:
            contexts = replace(contexts, targets=contexts.targets.keep(~contexts.repeated()))
        some = np.flatnonzero(contexts.targets.lengths > 0)
        if not len(some):
            raise TeacherError("there are no validation targets to fit an ensemble to", hint="use another split")
        n = max(1, min(len(some), most, _NUMBERS // max(numbers, 1)))
        chosen = contexts.take(some[np.linspace(0, len(some) - 1, n).astype(np.int64)])
        rows = torch.from_numpy(chosen.targets.row_of_event())
        return cls(chosen, rows, torch.from_numpy(chosen.targets.items.astype(np.int64)), hidden)

    def allowed(self, scores: Tensor) -> Tensor:
        """The scores, or a copy without the items of the history."""
        return hide(scores.clone(), self.contexts.history) if self.hidden else scores

    def of_targets(self, scores: Tensor) -> Tensor:
        """Scores of the targets: float ``[targets]``."""
        return scores[self.rows, self.targets]

    def ndcg(self, scores: Tensor) -> float:
        """NDCG@10 of each target on its own, mean; ties count half."""
        own = self.of_targets(scores)[:, None]
        rivals = scores[self.rows] if len(self.rows) != len(scores) else scores
        ahead = (rivals > own).sum(1) + ((rivals == own).sum(1) - 1) / 2
        gain = 1 / torch.log2(ahead + 2)
        return float(torch.where(ahead < 10, gain, 0.0).mean())

    def likelihood(self, scores: Tensor, temperature: float) -> float:
        """Mean log-probability of the targets under ``softmax(scores / temperature)``."""
        total = torch.logsumexp(scores / temperature, dim=1)[self.rows]
        return float((self.of_targets(scores) / temperature - total).mean())


def best_temperature(data: Validation, scores: Tensor) -> float:
    """The temperature whose softmax gives the targets the highest likelihood, by golden-section search in ``log T``.

    The likelihood is concave in ``1/T``, so there is one maximum (temperature scaling, Guo et al. 2017,
    https://arxiv.org/abs/1706.04599).
    """
    allowed = data.allowed(scores)
    spread = float(scores.std().clamp_min(1e-9))
    log_t = _golden(lambda x: data.likelihood(allowed, math.exp(x)), math.log(spread / 50), math.log(spread * 50))
    return math.exp(log_t)


def search_weights(data: Validation, logs: Sequence[Tensor], metric: str) -> tuple[float, ...]:
    """Weights on the simplex that serve the validation targets best: the best corner or centre, then coordinate steps.

    Args:
        data: Contexts and targets.
        logs: Log-probabilities by each member, float ``[contexts, n_items]``.
        metric: ``ndcg@10`` or ``likelihood`` (at the best temperature).
    """
    allowed = [data.allowed(z) for z in logs]

    def value(weights: tuple[float, ...]) -> float:
        fused = sum((w * z for w, z in zip(weights, allowed, strict=True) if w > 0), torch.zeros(()))
        if metric == "ndcg@10":
            return data.ndcg(fused)
        return _maximum(lambda x: data.likelihood(fused, math.exp(x)), -3.0, 3.0)

    n = len(logs)
    starts = [tuple(float(i == m) for i in range(n)) for m in range(n)] + [(1 / n,) * n]
    known = {weights: value(weights) for weights in starts}
    best = max(known, key=lambda weights: known[weights])
    for step in (0.3, 0.1, 0.03):
        improved = True
        while improved:
            improved = False
            for weights in _neighbours(best, step):
                if weights not in known:
                    known[weights] = value(weights)
                if known[weights] > known[best] + 1e-6:
                    best, improved = weights, True
    return best


def _neighbours(weights: tuple[float, ...], step: float) -> list[tuple[float, ...]]:
    """Each weight once larger and once smaller, the others scaled so that the sum stays 1."""
    found = []
    for m, own in enumerate(weights):
        for wanted in (min(own + step, 1.0), max(own - step, 0.0)):
            others = sum(weights) - own
            if wanted == own or len(weights) == 1:
                continue
            share = [(w / others if others > 0 else 1 / (len(weights) - 1)) * (1 - wanted) for w in weights]
            share[m] = wanted
            found.append(tuple(round(w, 4) for w in share))
    return found


def _golden(function: Callable[[float], float], low: float, high: float, steps: int = 24) -> float:
    """Where a function with one maximum between ``low`` and ``high`` has it."""
    ratio = (math.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = function(a), function(b)
    for _ in range(steps):
        if at_a >= at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = function(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = function(b)
    return (low + high) / 2


def _maximum(function: Callable[[float], float], low: float, high: float) -> float:
    return function(_golden(function, low, high, steps=12))
