"""Ranking objectives: what all have in common, and those put together from a sampler, weights and a comparison."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from ...data.dataset import Split
from ...errors import ConfigError
from ...knowledge import Knowledge
from ...models.neural import NeuralModel
from ..base import Moment, ObjectiveConfig, ScoreObjective, Scores, Targets, the_only
from ..ledger import Ledger, kinds_of_positions
from ..refusal import Refuse, listened
from .comparisons import Comparison
from .samplers import Sampler
from .scene import Picked, Scene
from .weights import Trust, Weight, trusted

__all__ = ["ListConfig", "ListObjective", "RankingsObjective", "TaughtConfig", "TaughtObjective"]

log = logging.getLogger("recdistill")

_OTHERWISE = {"trust": "use 'all'", "refuse": "use 'validation'"}


class TaughtConfig(ObjectiveConfig):
    """Parameters of an objective that reads stored rankings."""

    refuse: Refuse = Field(
        "never", description="when the teacher is no longer listened to: once it is no better on validation, or on the "
        "training labels",
    )  # fmt: skip
    refuse_margin: float = Field(
        0.1, ge=0, description="lead from which on it counts fully: share of its validation score, or nats of the label"
    )

    @property
    def reads(self) -> tuple[str, ...]:
        return ("rankings",)


class ListConfig(TaughtConfig):
    """Parameters of an objective that reads one teacher's rankings."""

    teacher: str | None = Field(None, description="whose rankings; needed only if several teachers left some")


class TaughtObjective(ScoreObjective):
    """What terms about stored rankings share: where a teacher is believed, how long, and a ledger of it.

    Args:
        config: Parameters of the method.
        trust: Where a teacher is believed.
        trust_scale: Ranks of advantage for which it is believed by 76 %, if ``trust`` is ``better``; nats of
            log-probability, if it is ``likelier``.
    """

    config: TaughtConfig
    popularity: Tensor

    def __init__(self, config: TaughtConfig, trust: Trust = "all", trust_scale: float = 1.0) -> None:
        super().__init__(config)
        self.trust, self.trust_scale = trust, trust_scale
        self.listened: dict[str, float] = {}
        self.ledger: Ledger | None = None
        self.register_buffer("popularity", torch.zeros(0), persistent=False)

    @property
    def looks_everywhere(self) -> bool:
        """Whether trust or refusal ask for the student's scores of the whole catalogue."""
        return self.trust in ("better", "likelier") or self.config.refuse == "labels"

    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        if not getattr(model.config, "sequential", True):
            key, mode = ("trust", self.trust) if self.trust != "all" else ("refuse", self.config.refuse)
            if mode in ("listed", "better", "likelier", "labels"):
                what = (
                    f"{key} {mode!r} asks whether a list has what came next, and {model.config.name} knows users only"
                )
                hint = f"a user's labels are the history, which no teacher lists; {_OTHERWISE[key]}"
                raise ConfigError(what, key=(self.config.name, key), hint=hint)
        device = next(model.parameters()).device
        self.dense = self.dense or self.looks_everywhere
        self.teachers = self.find(split, knowledge)
        self.popularity = torch.from_numpy(split.popularity).float().to(device)
        self.ledger = Ledger(kinds_of_positions(split), device)

    @abstractmethod
    def find(self, split: Split, knowledge: Knowledge) -> tuple[str, ...]:
        """The names of its teachers, which all left rankings of these data."""

    def begin(self, moment: Moment) -> float:
        told = (record.get("trust", {}).get(self.term) for record in reversed(moment.history))
        pages = next((pages for pages in told if pages), None)
        mode, margin = self.config.refuse, self.config.refuse_margin
        self.listened = {teacher: listened(mode, margin, teacher, moment, pages) for teacher in self.teachers}
        return super().begin(moment) * max(self.listened.values(), default=1.0)

    def end(self) -> dict[str, Any]:
        return {} if self.ledger is None else self.ledger.close()

    @torch.no_grad()
    def believed(self, teacher: str, scene: Scene, share: Tensor | None = None) -> Tensor:
        """How much a teacher counts at each position: float ``[n]``; it goes into the ledger.

        Args:
            teacher: Its name.
            scene: What it says there, and the student.
            share: float ``[n]``, its part among several teachers.
        """
        known, labels = scene.known, scene.targets.labels
        answered = ~known.logp[:, 0].isneginf()
        confidence = known.confidence * answered
        weight = confidence if self.trust == "all" else confidence * trusted(self.trust, scene, self.trust_scale)
        weight = weight if share is None else weight * share
        if self.ledger is not None and scene.targets.positions is not None:
            values = {"answered": answered.float(), "confidence": confidence, "weight": weight}
            if labels.shape[1] == 1:
                at = scene.label_places
                values["listed"] = (at[:, 0] >= 0).float()
                if self.config.refuse == "labels":
                    own, theirs = scene.student_label_logp[:, 0], scene.label_logp(at)[:, 0]
                    values["student_logp"], values["teacher_logp"] = own, torch.where(answered, theirs, own)
            self.ledger.add(teacher, scene.targets.positions, values)
        return weight


class RankingsObjective(TaughtObjective):
    """``confidence · trust · compared``: a term about one teacher's rankings."""

    config: ListConfig

    def find(self, split: Split, knowledge: Knowledge) -> tuple[str, ...]:
        told = the_only(knowledge.rankings(self.config.teacher), split.fingerprint).manifest
        k, stored = getattr(self.config, "k", None), min(told.width, split.n_items)
        if k is not None and k != type(self.config).model_fields["k"].default and stored < min(k, split.n_items):
            log.warning("%s: k is %d, and %s stored the first %d items only", self.term, k, told.teacher, stored)
        return (told.teacher,)

    def loss(self, scores: Scores, targets: Targets) -> Tensor:
        teacher = self.teachers[0]
        scene = Scene(scores, targets.rankings[teacher], targets, self.popularity)
        return self.believed(teacher, scene) * self.compared(scene)

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
        trust_scale: See :class:`TaughtObjective`.
    """

    def __init__(
        self, config: ListConfig, pick: Sampler, compare: Comparison, *weigh: Weight, trust: Trust = "all",
        trust_scale: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__(config, trust, trust_scale)
        self.pick, self.compare, self.weigh = pick, compare, weigh
        self.dense = pick.dense or any(weight.dense for weight in weigh)
        self.dense = self.dense or self.looks_everywhere

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
