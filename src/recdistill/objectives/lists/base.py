"""A ranking objective: a sampler, weights and a comparison, put together."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ...data.dataset import Split
from ...knowledge import Knowledge
from ...models.neural import NeuralModel
from ..base import ObjectiveConfig, ScoreObjective, Scores, Targets, the_only
from .comparisons import Comparison
from .samplers import Sampler
from .scene import Picked, Scene
from .weights import Trust, Weight, trusted

__all__ = ["ListConfig", "ListObjective"]


class ListConfig(ObjectiveConfig):
    """Parameters of an objective that reads one teacher's rankings."""

    teacher: str | None = Field(None, description="whose rankings; needed only if several teachers left some")


class ListObjective(ScoreObjective):
    """``confidence · trust · comparison`` of the picked items.

    Args:
        config: Parameters of the method.
        pick: Which items.
        compare: What is compared.
        weigh: How much each of the ordered items counts; multiplied. The others count 1, as much as the mean of these.
        trust: Where the teacher is believed.
        trust_scale: Ranks of advantage for which it is believed by 76 %, if ``trust`` is ``better``.
    """

    popularity: Tensor

    def __init__(
        self, config: ListConfig, pick: Sampler, compare: Comparison, *weigh: Weight, trust: Trust = "all",
        trust_scale: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(config)
        self.pick, self.compare, self.weigh = pick, compare, weigh
        self.trust, self.trust_scale = trust, trust_scale
        self.dense = pick.dense or any(weight.dense for weight in weigh) or trust == "better"
        self.register_buffer("popularity", torch.zeros(0), persistent=False)

    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        name = self.config.teacher if isinstance(self.config, ListConfig) else None
        self.teacher = the_only(knowledge.rankings(name), split.fingerprint).manifest.teacher
        self.popularity = torch.from_numpy(split.popularity).float().to(next(model.parameters()).device)

    @property
    def temperatures(self) -> tuple[float, ...]:
        return (1.0,) if self.pick.tails else ()

    def loss(self, scores: Scores, targets: Targets) -> Tensor:
        known = targets.rankings[self.teacher or ""]
        scene = Scene(scores, known, targets, self.popularity)
        with torch.no_grad():
            picked = self.pick(scene)
        values = scores.of(picked.items)
        with torch.no_grad():
            weights = self._weights(scene, picked, values)
            believed = known.confidence * (scene.lengths[:, 0] > 0) * trusted(self.trust, scene, self.trust_scale)
        return believed * self.compare(values, picked, weights, scores.n_items)

    def _weights(self, scene: Scene, picked: Picked, scores: Tensor) -> Tensor:
        """Weights of the items, those of the ordered ones with mean 1: float ``[n, s]``."""
        weights = picked.ordered.to(scores.dtype)
        for weight in self.weigh:
            weights = weights * weight(scene, picked, scores)
        mean = weights.sum(1, keepdim=True) / picked.ordered.sum(1, keepdim=True).clamp_min(1)
        weights = weights / mean.clamp_min(1e-12)
        return torch.where(picked.ordered, weights, picked.real.to(scores.dtype))
