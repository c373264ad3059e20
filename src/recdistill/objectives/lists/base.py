"""Ranking objectives: what all have in common, and those put together from a sampler, weights and a comparison."""

from __future__ import annotations

from abc import abstractmethod

import torch
from pydantic import Field
from torch import Tensor

from ...data.dataset import Split
from ...errors import ConfigError
from ...knowledge import Knowledge
from ...models.neural import NeuralModel
from ..base import ObjectiveConfig, ScoreObjective, Scores, Targets, the_only
from .comparisons import Comparison
from .samplers import Sampler
from .scene import Picked, Scene
from .weights import Trust, Weight, trusted

__all__ = ["ListConfig", "ListObjective", "RankingsObjective"]


class ListConfig(ObjectiveConfig):
    """Parameters of an objective that reads one teacher's rankings."""

    teacher: str | None = Field(None, description="whose rankings; needed only if several teachers left some")


class RankingsObjective(ScoreObjective):
    """``confidence · trust · compared``: a term about one teacher's rankings.

    Args:
        config: Parameters of the method.
        trust: Where the teacher is believed.
        trust_scale: Ranks of advantage for which it is believed by 76 %, if ``trust`` is ``better``.
    """

    config: ListConfig
    popularity: Tensor

    def __init__(self, config: ListConfig, trust: Trust = "all", trust_scale: float = 1.0) -> None:
        super().__init__(config)
        self.trust, self.trust_scale = trust, trust_scale
        self.register_buffer("popularity", torch.zeros(0), persistent=False)

    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        if self.trust != "all" and not getattr(model.config, "sequential", True):
            what = (
                f"trust {self.trust!r} asks whether a list has what came next, and {model.config.name} knows users only"
            )
            hint = "a user's labels are the history, which no teacher lists; use 'all'"
            raise ConfigError(what, key=(self.config.name, "trust"), hint=hint)
        self.teachers = (the_only(knowledge.rankings(self.config.teacher), split.fingerprint).manifest.teacher,)
        self.popularity = torch.from_numpy(split.popularity).float().to(next(model.parameters()).device)

    def loss(self, scores: Scores, targets: Targets) -> Tensor:
        scene = Scene(scores, targets.rankings[self.teachers[0]], targets, self.popularity)
        with torch.no_grad():
            answered = scene.known.confidence * ~scene.known.logp[:, 0].isneginf()
            believed = answered if self.trust == "all" else answered * trusted(self.trust, scene, self.trust_scale)
        return believed * self.compared(scene)

    @abstractmethod
    def compared(self, scene: Scene) -> Tensor:
        """The loss at each position where the teacher is believed: float ``[n]``, finite everywhere."""


class ListObjective(RankingsObjective):
    """A sampler, weights and a comparison, put together.

    Args:
        config: Parameters of the method.
        pick: Which items.
        compare: What is compared.
        weigh: How much each of the ordered items counts; multiplied. The others count 1, as much as the mean of these.
        trust: Where the teacher is believed.
        trust_scale: See :class:`RankingsObjective`.
    """

    def __init__(
        self, config: ListConfig, pick: Sampler, compare: Comparison, *weigh: Weight, trust: Trust = "all",
        trust_scale: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(config, trust, trust_scale)
        self.pick, self.compare, self.weigh = pick, compare, weigh
        self.dense = pick.dense or any(weight.dense for weight in weigh) or trust == "better"

    @property
    def temperatures(self) -> tuple[float, ...]:
        return (1.0,) if self.pick.tails else ()

    def compared(self, scene: Scene) -> Tensor:
        with torch.no_grad():
            picked = self.pick(scene)
        values = scene.scores.of(picked.items)
        with torch.no_grad():
            weights, left = self._weights(scene, picked, values)
        return left * self.compare(values, picked, weights, scene.scores.n_items)

    def _weights(self, scene: Scene, picked: Picked, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of items, float ``[n, s]``, those of the ordered ones with mean 1; and of positions, ``[n]``."""
        weights = picked.ordered.to(scores.dtype)
        for weight in self.weigh:
            if not weight.fades:
                weights = weights * weight(scene, picked, scores)
        whole = weights.sum(1)
        for weight in self.weigh:
            if weight.fades:
                weights = weights * weight(scene, picked, scores)
        left = weights.sum(1) / whole.clamp_min(1e-12) if any(w.fades for w in self.weigh) else torch.ones_like(whole)
        mean = weights.sum(1, keepdim=True) / picked.ordered.sum(1, keepdim=True).clamp_min(1)
        weights = weights / mean.clamp_min(1e-12)
        return torch.where(picked.ordered, weights, picked.real.to(scores.dtype)), left
