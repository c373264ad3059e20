"""Which items are compared. Random draws come from torch's global generator, so an epoch of a seed repeats itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..rows import contained, first_of_each
from .scene import Picked, Scene, gumbel

__all__ = ["Beside", "ByRank", "Misranked", "Sampler", "StudentTop", "Top", "Unlisted"]


class Sampler(ABC):
    """Picks items at each position."""

    dense: ClassVar[bool] = False
    """True if it asks for the student's top or ranks."""
    tails: ClassVar[bool] = False
    """True if it needs the probability of items that are not listed."""

    @abstractmethod
    def __call__(self, scene: Scene) -> Picked:
        """Some items."""


@dataclass(frozen=True)
class Top(Sampler):
    """The first ``k`` of the teacher's list; None for all."""

    k: int | None = None

    def __call__(self, scene: Scene) -> Picked:
        n, width = scene.known.items.shape
        columns = torch.arange(min(self.k or width, width), device=scene.known.items.device).expand(n, -1)
        return scene.listed_at(columns, torch.ones_like(columns, dtype=torch.bool))


@dataclass(frozen=True)
class ByRank(Sampler):
    """``k`` of the teacher's list without replacement, ``p ∝ exp(−rank / scale)``."""

    k: int
    scale: float

    def __call__(self, scene: Scene) -> Picked:
        ranks = torch.arange(scene.known.items.shape[1], device=scene.known.items.device)
        return _drawn(scene, (-ranks / self.scale).expand_as(scene.known.logp), self.k)


@dataclass(frozen=True)
class Misranked(Sampler):
    """``k`` of the list without replacement, by how far the student is off now.

    ``p ∝ tanh(max(student's rank − teacher's rank, 0) / scale)``: items it underestimates; or the opposite sign.
    """

    k: int
    scale: float
    over: bool = False
    dense: ClassVar[bool] = True

    def __call__(self, scene: Scene) -> Picked:
        ranks = torch.arange(scene.known.items.shape[1], device=scene.known.items.device)
        off = scene.student_ranks(scene.known.items) - ranks
        return _drawn(scene, torch.tanh((-off if self.over else off).clamp_min(0) / self.scale).log(), self.k)


@dataclass(frozen=True)
class StudentTop(Sampler):
    """``k`` of the student's own best ``pool`` without replacement, ``p ∝ exp(−rank / scale)``."""

    k: int
    pool: int
    scale: float
    dense: ClassVar[bool] = True
    tails: ClassVar[bool] = True

    def __call__(self, scene: Scene) -> Picked:
        top = scene.student_top(self.pool)
        ranks = torch.arange(self.pool, device=top.device)
        chosen, found = _first(-ranks / self.scale + gumbel(top.shape, top.device), top < 0, self.k)
        return scene.looked_up(top.gather(1, chosen).masked_fill(~found, -1))


@dataclass(frozen=True)
class Unlisted(Sampler):
    """``n`` draws from the catalogue, by popularity to a power: 0 is uniform.

    What is listed, a label or drawn before is left out, so there may be fewer.
    """

    n: int
    power: float = 0.0
    tails: ClassVar[bool] = True

    def __call__(self, scene: Scene) -> Picked:
        shape = (len(scene.known.items), self.n)
        if self.power:
            drawn = torch.multinomial((scene.popularity + 1) ** self.power, shape[0] * self.n, replacement=True)
            drawn = drawn.view(shape)
        else:
            drawn = torch.randint(scene.scores.n_items, shape, device=scene.known.items.device)
        out = contained(drawn, scene.listed) | contained(drawn, scene.targets.labels)
        return scene.looked_up(first_of_each(drawn.masked_fill(out, -1)))


@dataclass(frozen=True)
class Beside(Sampler):
    """Items to be ordered, and items that shall be below them all."""

    above: Sampler
    below: Sampler

    def __call__(self, scene: Scene) -> Picked:
        return self.above(scene).beside(self.below(scene))

    @property
    def dense(self) -> bool:  # type: ignore[override]
        """True if a part of it is."""
        return self.above.dense or self.below.dense

    @property
    def tails(self) -> bool:  # type: ignore[override]
        """True if a part of it needs them."""
        return self.above.tails or self.below.tails


def _drawn(scene: Scene, log_weights: Tensor, k: int) -> Picked:
    """``k`` of the list without replacement, back in the teacher's order."""
    keys = log_weights + gumbel(log_weights.shape, log_weights.device)
    chosen, found = _first(keys, log_weights.isneginf() | scene.known.logp.isneginf(), k)
    columns = chosen.masked_fill(~found, scene.known.items.shape[1]).sort(dim=1).values
    found = columns < scene.known.items.shape[1]
    return scene.listed_at(columns.masked_fill(~found, 0), found)


def _first(keys: Tensor, out: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Columns of the ``k`` largest keys and whether each was allowed."""
    found, chosen = keys.masked_fill(out, -torch.inf).topk(min(k, keys.shape[1]), dim=1)
    return chosen, ~found.isneginf()
