"""The frame that live teachers fit into: what they are given, what they promise, when they are called."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy.typing as npt
from pydantic import Field
from torch import nn

from ...config import Config
from ...data.dataset import Split
from ...knowledge import Knowledge, Rankings, RankingsStore
from ...knowledge.manifest import Manifest
from ...models.base import RankingModel
from ...models.neural import NeuralModel
from ...objectives.base import TeacherRankings
from ..batches import Step
from ..config import Training
from ..learner import Forward, Learner

if TYPE_CHECKING:
    import torch

__all__ = ["STUDENT", "STUDENT_K", "LiveConfig", "LiveRankings", "LiveTeacher", "Setting"]

STUDENT = "student"
"""What models that are trained beside the student call it."""
STUDENT_K = 100
"""Items of the student's own rankings, where somebody reads them."""


class LiveRankings(RankingsStore):
    """Stands among the knowledge for a teacher whose rankings come only while the student learns.

    Args:
        teacher: Its name.
        fingerprint: Of the teacher: everything it depends on besides the student.
        split: The data.
        k: Items in a ranking.
    """

    def __init__(self, teacher: str, fingerprint: str, split: Split, k: int) -> None:
        self.path = Path()
        self.manifest = Manifest(
            kind="rankings", teacher=teacher, teacher_fingerprint=fingerprint, dataset_fingerprint=split.fingerprint,
            meaning="log-probability of the item as next event, at the time of asking", keyed_by="position",
            rows=split.train.n_positions, width=min(k, split.n_items), dtype="float16",
            extra={"n_items": split.n_items, "contexts": "all"},
        )  # fmt: skip

    def read(self, rows: npt.ArrayLike) -> Rankings:
        """What it says now about some positions, for teachers that can be asked by position."""
        raise TypeError(f"{self.manifest.teacher} ranks only what a step shows it")  # the loop asks it at each step


class LiveConfig(Config):
    """Parameters of a live teacher."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="what objectives call it")

    @property
    def named_teachers(self) -> tuple[str, ...]:
        """Stored teachers whose knowledge it needs."""
        return ()

    @property
    def asks(self) -> tuple[str, ...]:
        """Teachers whose fitted models it needs."""
        return ()

    def build(self) -> LiveTeacher:
        """Make the teacher."""
        raise TypeError(f"{type(self).__name__} is not a live teacher")  # every subclass overrides this


@dataclass(frozen=True, slots=True)
class Setting:
    """All that a live teacher may need.

    Attributes:
        student: Whom it teaches.
        split: The data.
        knowledge: All stores, those of live teachers and of the student included.
        training: Parameters of the loop.
        device: Where models live.
        models: Fitted teachers by name.
        directory: Where it may keep what it was told, or None.
        number: Its place among the live teachers, from 1.
    """

    student: Learner
    split: Split
    knowledge: Knowledge
    training: Training
    device: torch.device
    models: Mapping[str, RankingModel]
    directory: Path | None
    number: int


class LiveTeacher(nn.Module, ABC):
    """A teacher that changes while the student learns. Its parameters and buffers are part of every checkpoint.

    Args:
        config: Its parameters.
    """

    at_step: bool = True
    """True if it ranks what each step shows it; False if it is asked by position, before the step."""

    def __init__(self, config: LiveConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def learner(self) -> Learner | None:
        """What is trained beside the student, if it is that."""
        return None

    @property
    def model(self) -> NeuralModel | None:
        """A model that comes out beside the student, if there is one; it is validated like the student."""
        return None

    def promise(self, split: Split, knowledge: Knowledge, models: Mapping[str, RankingModel]) -> LiveRankings:
        """What stands for it among the knowledge.

        Raises:
            ConfigError: It needs something that is not there.
        """
        raise NotImplementedError(type(self).__name__)

    def prepare(self, setting: Setting) -> None:
        """Get ready, once, before the first step and before a checkpoint is read."""

    def resume(self, epochs: int) -> None:
        """Go on after a checkpoint of so many epochs; buffers are as they were."""

    def before_epoch(self, epoch: int) -> None:
        """Look at the student before an epoch, from 1."""

    def rankings(self, step: Step, said: Mapping[str, Forward], temperatures: tuple[float, ...]) -> TeacherRankings:
        """Its rankings at the positions of a step.

        Args:
            step: The step.
            said: What each model in training says to it.
            temperatures: At which the tail is wanted.
        """
        raise NotImplementedError(type(self).__name__)

    def after_step(self) -> None:
        """The student has learned one step more."""

    def facts(self) -> dict[str, float]:
        """Numbers for the log of an epoch."""
        return {}
