"""Choosing fusion weights and temperatures by what validation users did next."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import Contexts
from ..errors import TeacherError
from .ranking import hide

__all__ = ["Shortlist", "Validation", "best_likelihood", "best_temperature", "search_weights"]

_NUMBERS = 1 << 26
"""Scores of all members that are held to find temperatures: 256 MB."""
_BLOCK = 1 << 23
"""Scores of all members that are held at a time to find the short lists: 32 MB."""
_SHORT = 100
"""Items of each member's list among which the best ten of a fusion are looked for."""


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
        repeats = 0
        if hidden:
            new = ~contexts.repeated()
            repeats = int((~new).sum())
            contexts = replace(contexts, targets=contexts.targets.keep(new))
        some = np.flatnonzero(contexts.targets.lengths > 0)
        if not len(some):
            what, hint = "there are no validation targets to fit an ensemble to", "use another split"
            if repeats:
                what += f": all {repeats:,} are in the history, which is not recommended again"
                hint = "ask for repeats with exclude_history: false in training, or use another split"
            raise TeacherError(what, hint=hint)
        n = max(1, min(len(some), most, _NUMBERS // max(numbers, 1)))
        return cls._of_all(contexts.take(some[np.linspace(0, len(some) - 1, n).astype(np.int64)]), hidden)

    @classmethod
    def _of_all(cls, chosen: Contexts, hidden: bool) -> Validation:
        rows = torch.from_numpy(chosen.targets.row_of_event())
        return cls(chosen, rows, torch.from_numpy(chosen.targets.items.astype(np.int64)), hidden)

    def allowed(self, scores: Tensor) -> Tensor:
        """The scores, or a copy without the items of the history."""
        return hide(scores.clone(), self.contexts.history) if self.hidden else scores

    def of_targets(self, scores: Tensor) -> Tensor:
        """Scores of the targets: float ``[targets]``."""
        return scores[self.rows, self.targets]

    def blocks(self, numbers: int) -> Iterator[Validation]:
        """Consecutive contexts, as many at a time as their scores may take memory.

        Args:
            numbers: Scores of one context.
        """
        step = max(1, _BLOCK // max(numbers, 1))
        for start in range(0, len(self.contexts), step):
            rows = np.arange(start, min(start + step, len(self.contexts)))
            yield self._of_all(self.contexts.take(rows), self.hidden)

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


@dataclass(frozen=True)
class Shortlist:
    """The items that could be among the best ten of any fusion, with what each member says about them.

    An item far down in the list of every member is in no fused list's first places, so that those above it are enough.

    Attributes:
        own: float ``[members, targets]``, log-probabilities of the targets.
        rivals: float ``[members, targets, any]``, those of the other items; -inf for none.
    """

    own: Tensor
    rivals: Tensor

    @classmethod
    def of(cls, data: Validation, score: Callable[[Contexts], Sequence[Tensor]], numbers: int) -> Shortlist:
        """Ask the members about all contexts of ``data``, block by block.

        Args:
            data: Contexts and targets.
            score: Log-probabilities by each member, float ``[contexts, n_items]`` each.
            numbers: Scores of one context by all members.
        """
        parts = [cls._of_block(block, score(block.contexts)) for block in data.blocks(numbers)]
        return cls(torch.cat([own for own, _ in parts], dim=1), torch.cat([rivals for _, rivals in parts], dim=1))

    @staticmethod
    def _of_block(data: Validation, logs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        allowed = [data.allowed(z) for z in logs]
        best = [z.topk(min(_SHORT, z.shape[1]), dim=1).indices for z in allowed]
        items = torch.cat(best, dim=1).sort(dim=1).values[data.rows]
        none = items == data.targets[:, None]
        none[:, 1:] |= items[:, 1:] == items[:, :-1]
        rivals = [z[data.rows[:, None], items].masked_fill_(none, -torch.inf) for z in allowed]
        return torch.stack([data.of_targets(z) for z in allowed]), torch.stack(rivals)

    def ndcg(self, weights: Sequence[float]) -> float:
        """NDCG@10 of each target on its own under these weights, mean; ties count half."""
        some = [m for m, weight in enumerate(weights) if weight > 0]
        own, rivals = (sum((weights[m] * z[m] for m in some), torch.zeros(())) for z in (self.own, self.rivals))
        ahead = (rivals > own[:, None]).sum(1) + (rivals == own[:, None]).sum(1) / 2
        return float(torch.where(ahead < 10, 1 / torch.log2(ahead + 2), 0.0).mean())


def best_likelihood(data: Validation, logs: Sequence[Tensor], weights: Sequence[float]) -> float:
    """Mean log-probability of the targets under a fusion at its best temperature.

    Args:
        data: Contexts and targets.
        logs: Log-probabilities by each member, float ``[contexts, n_items]`` each.
        weights: Of each member.
    """
    fused = sum((w * data.allowed(z) for w, z in zip(weights, logs, strict=True) if w > 0), torch.zeros(()))
    return _maximum(lambda x: data.likelihood(fused, math.exp(x)), -3.0, 3.0)


def search_weights(n: int, value: Callable[[tuple[float, ...]], float]) -> tuple[float, ...]:
    """Weights on the simplex with the greatest value: from the best corner or the centre, coordinate steps.

    Args:
        n: Members.
        value: Of weights that sum to 1.
    """
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
