"""On-policy teaching: in rounds, a teacher is asked about what the student itself would recommend now."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ...data.dataset import Split
from ...errors import TrainingError
from ...knowledge import Knowledge, Rankings, RankingsStore
from ...knowledge.manifest import HEADER, MANIFEST, parse_manifest
from ...models.base import RankingModel
from ...teachers.about import About, fingerprint_of
from ...teachers.recommender import RecommenderTeacher
from .base import LiveConfig, LiveRankings, LiveTeacher, Setting

__all__ = ["OnPolicy", "OnPolicyRounds"]


class OnPolicy(LiveConfig):
    """Every few epochs the teacher ranks the student's own top items, and the student learns from that.

    A stored list of the teacher's best says little about what the student wrongly ranks first; asking about the
    student's own choice does (for language models, Agarwal et al. 2024, https://arxiv.org/abs/2306.13649). At every
    position the teacher gives its probabilities of the student's first ``k`` items, or of ``k`` drawn from its
    probabilities; all other items are in the tail. A round is a rankings store under ``live/ID`` of the training's
    directory; before the first there is no answer, and what an interrupted round said is not asked again.
    """

    name: ClassVar[str] = "on-policy"

    of: str = Field(description="the recommender or ensemble that is asked")
    every: int = Field(5, ge=1, description="epochs between two rounds")
    after: int = Field(2, ge=0, description="epochs before the first")
    k: int = Field(30, ge=1, description="items of the student's that it is asked about at each position")
    pick: Literal["top", "draw"] = Field("top", description="the student's first items, or a draw from its softmax")
    temperature: float = Field(1.0, gt=0, description="of the softmax that is drawn from")

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.of,)

    def build(self) -> OnPolicyRounds:
        return OnPolicyRounds(self)


class _Latest(LiveRankings):
    """What the latest round said."""

    store: RankingsStore | None = None

    def read(self, rows: npt.ArrayLike) -> Rankings:
        return self.store.read(rows) if self.store else Rankings.none(len(np.asarray(rows)), self.manifest.width)


class OnPolicyRounds(LiveTeacher):
    """The rounds described by :class:`OnPolicy`."""

    config: OnPolicy
    at_step = False

    def promise(self, split: Split, knowledge: Knowledge, models: Mapping[str, RankingModel]) -> LiveRankings:
        self.asked = models[self.config.of]
        fingerprint = f"{self.config.digest()}-{fingerprint_of(self.asked)}"
        self.latest = _Latest(self.config.id, fingerprint, split, self.config.k)
        return self.latest

    def prepare(self, setting: Setting) -> None:
        self.student, self.split, self.seed = [setting.student.model], setting.split, setting.training.seed
        self.sequential = bool(getattr(setting.student.model.config, "sequential", True))
        self.place = setting.directory or Path(tempfile.mkdtemp(prefix="recdistill-"))
        if setting.directory is None:
            weakref.finalize(self, shutil.rmtree, self.place, ignore_errors=True)

    def round(self, epoch: int) -> int:
        """The round that an epoch learns from: 1 is the first, 0 or less is none."""
        return (epoch - self.config.after - 1) // self.config.every + 1

    def before_epoch(self, epoch: int) -> None:
        number = self.round(epoch)
        if number < 1 or number == self.round(epoch - 1):
            return
        config = self.config
        drawn = config.temperature if config.pick == "draw" else None
        about = About(self.student[0], drawn, seed=self.seed * 1_000_003 + number)
        teacher = RecommenderTeacher(self.asked, f"{config.id}, round {number}", about=about)
        path = self._path(number)
        if _of_another(path, teacher.fingerprint()):
            shutil.rmtree(path)
        contexts: Literal["all", "ends"] = "all" if self.sequential else "ends"
        self.latest.store = teacher.label(self.split, path, k=config.k, scores="float16", contexts=contexts)

    def resume(self, epochs: int) -> None:
        number = self.round(epochs)
        if number < 1 or number != self.round(epochs + 1):
            return
        path = self._path(number)
        if not (path / MANIFEST).is_file():
            hint = "remove the training's directory to start again"
            raise TrainingError(f"what the teacher said in round {number} is gone", where=path, hint=hint)
        self.latest.store = RankingsStore.open(path)

    def facts(self) -> dict[str, float]:
        """Which round this epoch learned from."""
        return {} if self.latest.store is None else {"round": float(self.latest.store.path.name.partition("-")[2])}

    def _path(self, number: int) -> Path:
        return self.place / f"round-{number:04d}"


def _of_another(path: Path, fingerprint: str) -> bool:
    """Whether a round lies there that was asked about another student, as after a change of hardware."""
    found = next((path / name for name in (MANIFEST, HEADER) if (path / name).is_file()), None)
    return found is not None and parse_manifest(found).teacher_fingerprint != fingerprint
