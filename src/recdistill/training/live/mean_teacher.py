"""The student's own past as teacher: a moving average of its weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...data.dataset import Split
from ...knowledge import Knowledge
from ...models.base import RankingModel
from ...models.neural import NeuralModel
from ...objectives.base import TeacherRankings
from ..batches import Step
from ..learner import Forward
from .base import LiveConfig, LiveRankings, LiveTeacher, Setting
from .ranked import ranked

__all__ = ["MeanTeacher", "MeanTeacherCopy"]


class MeanTeacher(LiveConfig):
    """``w' ← a w' + (1 − a) w`` after every step, with ``a = min(momentum, 1 − 1 / (steps + 1))``.

    Mean teacher (Tarvainen and Valpola 2017, https://arxiv.org/abs/1703.01780): the average ranks without dropout, so
    that it is steadier than the student that it teaches. It is validated too and comes out beside the student.
    """

    name: ClassVar[str] = "mean-teacher"

    momentum: float = Field(0.99, ge=0, lt=1, description="a; 0.99 looks back about a hundred steps")
    k: int = Field(100, ge=1, description="items of its rankings")
    exclude_seen: bool = Field(True, description="items of the history get no probability")

    def build(self) -> MeanTeacherCopy:
        return MeanTeacherCopy(self)


class MeanTeacherCopy(LiveTeacher):
    """The copy described by :class:`MeanTeacher`."""

    config: MeanTeacher
    steps: Tensor

    @property
    def model(self) -> NeuralModel:
        return self.mean

    def promise(self, split: Split, knowledge: Knowledge, models: Mapping[str, RankingModel]) -> LiveRankings:
        return LiveRankings(self.config.id, self.config.digest(), split, self.config.k)

    def prepare(self, setting: Setting) -> None:
        self.student = [setting.student.model]  # in a list, so that it does not become a part of this module
        self.sequential = bool(getattr(setting.student.model.config, "sequential", True))
        self.mean = copy.deepcopy(setting.student.model).eval().requires_grad_(False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def rankings(self, step: Step, said: Mapping[str, Forward], temperatures: tuple[float, ...]) -> TeacherRankings:
        table = self.mean.table()
        own = Forward(table, self.mean.bias(), self.mean.hidden(step.batch, table))
        config = self.config
        return ranked(own, step.batch, temperatures, k=config.k, sequential=self.sequential,
                      exclude_seen=config.exclude_seen)  # fmt: skip

    @torch.no_grad()
    def after_step(self) -> None:
        self.steps += 1
        keep = min(self.config.momentum, 1 - 1 / (int(self.steps) + 1))
        for own, new in zip(self.mean.state_dict().values(), self.student[0].state_dict().values(), strict=True):
            if own.is_floating_point():
                own.lerp_(new, 1 - keep)
            else:
                own.copy_(new)
