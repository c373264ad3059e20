"""Models that are trained beside the student and teach each other: mutual learning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from torch import nn

from ...data.dataset import Split
from ...errors import ConfigError
from ...knowledge import Knowledge
from ...models import MODELS
from ...models.base import RankingModel
from ...models.neural import NeuralConfig, NeuralModel
from ...objectives import OBJECTIVES, CrossEntropy, SoftLabels
from ...objectives.base import TeacherRankings
from ...registry import component_field
from ..batches import Step
from ..learner import Forward, Learner
from .base import STUDENT, LiveConfig, LiveRankings, LiveTeacher, Setting
from .ranked import ranked

if TYPE_CHECKING:
    from ...models import ModelConfig as Model
    from ...objectives.base import ObjectiveConfig as Objective
else:
    Model = component_field(MODELS)
    Objective = component_field(OBJECTIVES)

__all__ = ["Peer", "PeerModel"]


class Peer(LiveConfig):
    """A model that takes every step on the same batch as the student, with terms and an optimiser of its own.

    What it ranks in a step is what the student and other peers may read in that step, and the other way round: its own
    terms name them, the student as ``student``. All read first and learn then. Two equal models with soft labels of
    each other are deep mutual learning (Zhang et al. 2018, https://arxiv.org/abs/1706.00384); a large and a small one
    are bidirectional distillation (Kweon et al. 2021, https://arxiv.org/abs/2106.02870).

    It is validated like the student and comes out beside it, with the weights of its own best epoch. Training stops
    when the student no longer gets better.
    """

    name: ClassVar[str] = "peer"

    model: Model = Field(description="any trained model that reads the same contexts as the student")
    objectives: list[Objective] = Field(
        default_factory=lambda: [CrossEntropy(), SoftLabels(teacher=STUDENT, temperature=1.0)],
        min_length=1,
        description="default: cross-entropy, and soft-labels of the student at temperature 1",
    )
    lr: float | None = Field(None, gt=0, description="learning rate; that of the student if null")
    weight_decay: float | None = Field(None, ge=0, description="that of the student if null")
    k: int = Field(100, ge=1, description="items of its rankings")
    exclude_seen: bool = Field(True, description="items of the history get no probability")

    @property
    def named_teachers(self) -> tuple[str, ...]:
        return tuple(name for objective in self.objectives for name in objective.named_teachers if name != STUDENT)

    def build(self) -> PeerModel:
        return PeerModel(self)


class PeerModel(LiveTeacher):
    """The model described by :class:`Peer`."""

    config: Peer

    @property
    def learner(self) -> Learner:
        return self._learner

    @property
    def model(self) -> NeuralModel:
        return self._learner.model

    def promise(self, split: Split, knowledge: Knowledge, models: Mapping[str, RankingModel]) -> LiveRankings:
        return LiveRankings(self.config.id, self.config.digest(), split, self.config.k)

    def prepare(self, setting: Setting) -> None:
        self.sequential = bool(getattr(self.config.model, "sequential", True))
        theirs, own = setting.student.model.config, self.config.model
        key = ("live", self.config.id, "model")
        if not isinstance(own, NeuralConfig):
            raise ConfigError(f"{own.name} is not trained by steps", key=key, hint="let it teach from a store")
        for what in ("sequential", "max_length"):
            wanted, found = getattr(theirs, what), getattr(own, what)
            if wanted != found:
                told = f"{what}={found} beside a student of {what}={wanted}: both must read the same contexts"
                raise ConfigError(told, key=(*key, what))
        changes = {"seed": setting.training.seed + setting.number}  # equal models shall not begin as one
        for name in ("lr", "weight_decay"):
            if getattr(self.config, name) is not None:
                changes[name] = getattr(self.config, name)
        training = setting.training.replace(**changes)
        self._learner = Learner(own, setting.split, self.config.objectives, setting.knowledge, training, setting.device)
        self.modules_of_learner = nn.ModuleDict(self._learner.modules)  # for checkpoints

    def rankings(self, step: Step, said: Mapping[str, Forward], temperatures: tuple[float, ...]) -> TeacherRankings:
        config = self.config
        return ranked(said[config.id], step.batch, temperatures, k=config.k, sequential=self.sequential,
                      exclude_seen=config.exclude_seen)  # fmt: skip
