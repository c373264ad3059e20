"""How much each picked item counts, and how far a teacher is trusted at a position."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..rows import contained
from .scene import NEVER, Picked, Scene

__all__ = [
    "Blend", "Consistency", "Discrepancy", "Position", "Probability", "StudentError", "Trust", "Unpopularity", "Weight",
    "trusted",
]  # fmt: skip


class Weight(ABC):
    """Weight of each picked item, up to a factor for each position."""

    dense: ClassVar[bool] = False
    """True if it asks for the student's top or ranks."""
    fades: bool = False
    """True if its size matters, not only the proportions at a position: 1 is full weight."""

    @abstractmethod
    def __call__(self, scene: Scene, picked: Picked, scores: Tensor) -> Tensor:
        """Float ``[n, s]``, at least 0; ``scores`` are the student's, of the picked items."""


@dataclass(frozen=True)
class Position(Weight):
    """``exp(−rank / scale)`` by the teacher's rank (Tang and Wang 2018, https://arxiv.org/abs/1809.07428)."""

    scale: float

    def __call__(self, scene: Scene, picked: Picked, scores: Tensor) -> Tensor:
        return torch.exp(-picked.ranks / self.scale)


@dataclass(frozen=True)
class Probability(Weight):
    """The teacher's probability inside the list, at a temperature: how sure it is of each item."""

    temperature: float = 1.0

    def __call__(self, scene: Scene, picked: Picked, scores: Tensor) -> Tensor:
        return torch.softmax(_inside(picked.logp, picked, self.temperature), dim=1)


@dataclass(frozen=True)
class Discrepancy(Weight):
    """``tanh(max(student's rank − teacher's rank, 0) / scale)``: what the student ranks too low now (Tang and Wang).

    With ``fades`` a position counts less, the less is wrong there.
    """

    scale: float
    fades: bool = False
    dense: ClassVar[bool] = True

    def __call__(self, scene: Scene, picked: Picked, scores: Tensor) -> Tensor:
        return torch.tanh((scene.student_ranks(picked.items) - picked.ranks).clamp_min(0) / self.scale)


@dataclass(frozen=True)
class Consistency(Weight):
    """1 for items in the student's own top ``k``, else 0 (Cui et al. 2024, https://arxiv.org/abs/2405.00338)."""

    k: int
    dense: ClassVar[bool] = True

    def __call__(self, scene: Scene, picked: Picked, scores: Tensor) -> Tensor:
        return contained(picked.items, scene.student_top(self.k)).to(scores.dtype)


@dataclass(frozen=True)
class StudentError(Weight):
    """``|p − q|``, the student's own error: difference of the probabilities inside the list."""

    temperature: float = 1.0

    def __call__(self, scene: Scene, picked: Picked, scores: Tensor) -> Tensor:
        teacher, student = (_inside(values, picked, self.temperature) for values in (picked.logp, scores))
        return (torch.softmax(teacher, dim=1) - torch.softmax(student, dim=1)).abs()


@dataclass(frozen=True)
class Unpopularity(Weight):
    """``(1 + training events)^−power``: inverse propensity, so that the tail is not drowned."""

    power: float = 0.5

    def __call__(self, scene: Scene, picked: Picked, scores: Tensor) -> Tensor:
        return (1 + scene.popularity[picked.items]) ** -self.power


@dataclass(frozen=True)
class Blend(Weight):
    """Weighted sum of weights: of ``parts``, each made to sum to 1 over the list, and of ``plain`` as they are."""

    parts: tuple[tuple[float, Weight], ...]
    plain: tuple[tuple[float, Weight], ...] = ()

    @property
    def dense(self) -> bool:  # type: ignore[override]
        """True if a part of it is."""
        return any(weight.dense for _, weight in self.parts + self.plain)

    def __call__(self, scene: Scene, picked: Picked, scores: Tensor) -> Tensor:
        total = torch.zeros_like(scores)
        for factor, weight in self.parts:
            values = weight(scene, picked, scores) * picked.ordered
            total = total + factor * values / values.sum(1, keepdim=True).clamp_min(1e-12)
        for factor, weight in self.plain:
            total = total + factor * weight(scene, picked, scores) * picked.ordered
        return total


Trust = Literal["all", "listed", "better", "likelier"]
"""Where the teacher is believed: everywhere, where its list has the label, where it ranks the label better than the
student does now, where it gives the label a higher probability than the student does now."""


def trusted(mode: Trust, scene: Scene, scale: float) -> Tensor:
    """How far the teacher is believed at each position, from what is known to be right there: float ``[n]`` in [0, 1].

    Mean over the labels of 1 for ``all``; of 1 where the label is listed, else 0, for ``listed``; of
    ``tanh(max(student's rank − teacher's rank, 0) / scale)`` for ``better``, 0 where the label is not listed; of
    ``tanh(max(log p − log q, 0) / scale)`` for ``likelier``, the log-probabilities of the label by teacher and student.
    1 where there is no label to judge by. The idea of learning where the peer is better is that of LLMD4Rec (Wu et al.
    2025, https://arxiv.org/abs/2505.18120); the formulas are ours. Not for contexts that are whole users, whose labels
    a teacher does not list.
    """
    labels = scene.targets.labels
    if mode == "all":
        return torch.ones(len(labels), device=labels.device)
    real, at = labels >= 0, scene.label_places
    good = (at >= 0).float()
    if mode == "better":
        good = good * torch.tanh((scene.student_ranks(labels.clamp_min(0)) - at).clamp_min(0) / scale)
    elif mode == "likelier":
        good = torch.tanh((scene.label_logp(at) - scene.student_label_logp).clamp_min(0) / scale)
    return torch.where(real.any(1), (good * real).sum(1) / real.sum(1).clamp_min(1), 1.0)


def _inside(values: Tensor, picked: Picked, temperature: float) -> Tensor:
    return (values / temperature).masked_fill(~picked.real, NEVER)
