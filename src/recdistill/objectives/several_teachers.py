"""Several teachers in one term: soft labels of those who are listened to in each context."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from ..data.dataset import Split
from ..errors import ConfigError
from ..knowledge import Knowledge, RankingsStore
from ..models.neural import NeuralModel
from .base import Moment, Scores, Targets, the_only
from .lists import Scene, TaughtObjective
from .several import Bandit, Confidence, Gate, Judge, LabelConfidence, Margin, Mean, Mix
from .soft_labels import Divergence, SoftParameters

__all__ = ["SeveralTeachers", "SeveralTeachersLoss"]


class SeveralTeachers(SoftParameters):
    """``Σ_t share_t(context) · soft labels of teacher t``; the shares sum to 1 over the teachers who answered.

    ``combine`` says who is listened to in a context: all alike (*mean*); the teacher whose distribution has less
    entropy (*confidence*), whose first item leads by more (*margin*), who gives the *label* more probability (CA-MKD,
    Zhang et al. 2022, https://arxiv.org/abs/2201.00007); who a small network expects to rank the label better, judging
    by the student's state and by the teachers' answers (*gate*); or one drawn by a *bandit* that learns, for each kind
    of context, how well the teachers' lists predict the label (Thompson sampling). Gate and bandit are ours.

    A KL divergence to a mixture has the same gradient as the mixture of the divergences, so the student learns the
    arithmetic mean of the teachers, weighted by context. The ``ensemble`` teacher is the geometric mean instead, with
    weights for all contexts.

    Teachers know the labels they were trained on. ``judge: labels`` is fair to teachers that label out of fold;
    otherwise ``judge: validation`` is the honest way, which needs rankings at the ends of histories.
    """

    name: ClassVar[str] = "several-teachers"

    teachers: tuple[str, ...] = Field((), description="whose rankings; of all that left some, if empty")
    combine: Literal["mean", "confidence", "margin", "label", "gate", "bandit"] = Field(
        "gate", description="who is listened to"
    )
    sharpness: float = Field(1.0, ge=0, description="of confidence and margin; 0: all alike")
    judge: Judge = Field("labels", description="what gate and bandit learn from")
    clusters: int = Field(16, ge=1, le=256, description="of contexts, for the bandit")
    memory: float = Field(1000.0, gt=0, description="labels that the bandit remembers in each cluster, about")
    hidden: int = Field(32, ge=1, description="width of the gate's hidden layer")

    @field_validator("teachers")
    @classmethod
    def _several(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) == 1 or len(set(value)) < len(value):
            raise ConfigError(f"name at least two different teachers (got {', '.join(value)})", hint="or none, for all")
        return value

    def build(self) -> SeveralTeachersLoss:
        return SeveralTeachersLoss(self)

    def mix(self, teachers: int) -> Mix:
        """Who is listened to among so many."""
        match self.combine:
            case "mean":
                return Mean()
            case "confidence":
                return Confidence(self.sharpness)
            case "margin":
                return Margin(self.sharpness)
            case "label":
                return LabelConfidence()
            case "gate":
                return Gate(teachers, self.hidden, self.judge)
            case "bandit":
                return Bandit(teachers, self.clusters, self.memory, self.judge)


class SeveralTeachersLoss(TaughtObjective):
    """The term described by :class:`SeveralTeachers`."""

    config: SeveralTeachers
    mix: Mix

    def __init__(self, config: SeveralTeachers) -> None:
        super().__init__(config, config.trust, config.trust_scale)
        self.divergence = Divergence(config.temperature.at(0), config.k, config.tail)

    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        super().prepare(model, split, knowledge, seed)
        self.mix = self.config.mix(len(self.teachers))
        if self.mix.sequential and not getattr(model.config, "sequential", True):
            what = (
                f"combine {self.config.combine!r} learns from what came next, and {model.config.name} knows users only"
            )
            hint = "use the bandit with judge: validation, confidence or mean"
            raise ConfigError(what, key=(self.config.name, "combine"), hint=hint)
        self.mix.prepare(model, split, [knowledge.rankings(teacher)[0] for teacher in self.teachers], seed)

    def find(self, split: Split, knowledge: Knowledge) -> tuple[str, ...]:
        names = self.config.teachers or tuple(dict.fromkeys(s.manifest.teacher for s in knowledge.rankings()))
        stores: list[RankingsStore] = [the_only(knowledge.rankings(name), split.fingerprint) for name in names]
        if len(stores) < 2:
            hint = "teach a second one, or use soft-labels"
            raise ConfigError(f"only {names[0]!r} left rankings", key=(self.config.name, "teachers"), hint=hint)
        return names

    @property
    def temperatures(self) -> tuple[float, ...]:
        return (self.divergence.temperature,)

    def begin(self, moment: Moment) -> float:
        self.divergence = Divergence(self.config.temperature.at(moment.epoch - 1), self.config.k, self.config.tail)
        return super().begin(moment)

    def look_ahead(self, targets: Targets) -> None:
        for teacher in self.teachers:
            self.divergence.look_ahead(targets.rankings[teacher])
        self.mix.look_ahead(targets, self.teachers)

    def loss(self, scores: Scores, targets: Targets) -> Tensor:
        scenes = [Scene(scores, targets.rankings[teacher], targets, self.popularity) for teacher in self.teachers]
        shares = self._shares(scenes)
        terms = [
            self.believed(teacher, scene, shares[:, column]) * self.divergence(scene)
            for column, (teacher, scene) in enumerate(zip(self.teachers, scenes, strict=True))
        ]
        loss = torch.stack(terms).sum(0)
        lesson = self.mix.lesson()
        return loss if lesson is None else loss + (lesson - lesson.detach())  # its gradient, but no loss of the student

    @torch.no_grad()
    def _shares(self, scenes: list[Scene]) -> Tensor:
        """Shares of the teachers: float ``[n, teachers]``, summing to 1 where anybody answered who is listened to."""
        answered = torch.stack([s.known.confidence.gt(0) & ~s.known.logp[:, 0].isneginf() for s in scenes], dim=1)
        listened = [self.listened.get(teacher, 1.0) for teacher in self.teachers]
        heard = answered & torch.tensor([part > 0 for part in listened], device=answered.device)
        shares: Tensor = self.mix(scenes, heard) * heard * torch.tensor(listened, device=answered.device)
        return shares / shares.sum(1, keepdim=True).clamp_min(1e-12)
