"""A teacher's training as curriculum: each context is taught by the snapshot that fits the student's progress there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from ...data.dataset import Split
from ...errors import ConfigError
from ...knowledge import Knowledge, Rankings, RankingsStore
from ...models.base import RankingModel
from ...objectives.base import the_only
from ...objectives.rows import places
from ...teachers.recommender import scored
from .base import LiveConfig, LiveRankings, LiveTeacher, Setting

__all__ = ["Trajectory", "TrajectoryTeacher", "discrepancy"]

_SCALE = 10.0
"""Ranks over which a teacher's item counts less by the factor e (HetComp's choice)."""
_ARRIVED = 1e-6
"""A distance that cannot get less."""


class Trajectory(LiveConfig):
    """Knowledge from easy to hard: snapshots of a teacher's training, the next one where the student has come near it.

    HetComp (Kang et al. 2023, https://arxiv.org/abs/2303.01130): what a teacher ranked early in its training is simpler
    than what it ranks at the end. Every context begins with the first snapshot. Every ``every`` epochs ``D``, that is
    1 − NDCG@k of the student's list against that of the *next* snapshot, is looked at again, and where ``D before /
    D now`` is more than ``alpha · 0.995^(epoch / every)``, the context moves on to that snapshot. The paper has several
    teachers at once and goes on from relations to fine order at the last snapshot; that part is left to the objectives.

    The teacher needs ``snapshots``.
    """

    name: ClassVar[str] = "trajectory"

    of: str = Field(description="the recommender whose snapshots they are")
    every: int = Field(2, ge=1, description="epochs between two looks at the student")
    alpha: float = Field(1.05, gt=0, description="how much nearer the student must have come; less is sooner")
    k: int = Field(50, ge=1, description="items of the lists that are compared")

    @property
    def named_teachers(self) -> tuple[str, ...]:
        return (self.of,)

    def build(self) -> TrajectoryTeacher:
        return TrajectoryTeacher(self)


class _ByLevel(LiveRankings):
    """Each position in the store of its snapshot."""

    stores: Sequence[RankingsStore]
    level: Tensor

    def read(self, rows: npt.ArrayLike) -> Rankings:
        index = np.asarray(rows, dtype=np.int64)
        found, level = self.stores[0].read(index), self.level.numpy()[index]
        for number, store in enumerate(self.stores[1:], start=1):
            mine = np.flatnonzero(level == number)
            if len(mine):
                other = store.read(index[mine])
                for name in ("items", "logp", "tail", "confidence"):
                    getattr(found, name)[mine] = getattr(other, name)
        return found


class TrajectoryTeacher(LiveTeacher):
    """The curriculum described by :class:`Trajectory`."""

    config: Trajectory
    at_step = False
    level: Tensor
    before: Tensor

    def promise(self, split: Split, knowledge: Knowledge, models: Mapping[str, RankingModel]) -> LiveRankings:
        of = self.config.of
        last = the_only(knowledge.rankings(of), split.fingerprint)
        early = [s for s in knowledge.rankings() if s.manifest.teacher.startswith(f"{of}@")]
        early.sort(key=lambda store: int(store.manifest.teacher.rpartition("@")[2]))
        if not early:
            key, hint = ("live", self.config.id, "of"), "teach it with snapshots=3 or so"
            raise ConfigError(f"{of!r} left no snapshots of its training", key=key, hint=hint)
        self.stores = (*early, last)
        fingerprint = "-".join([self.config.digest(), *(s.manifest.teacher_fingerprint for s in self.stores)])
        self.chosen = _ByLevel(self.config.id, fingerprint, split, last.k)
        self.chosen.stores = self.stores
        return self.chosen

    def prepare(self, setting: Setting) -> None:
        self.student, self.events = [setting.student.model], setting.split.train
        n = self.events.n_positions
        self.contexts = self.events.events_before(np.arange(n)) > 0
        if not getattr(setting.student.model.config, "sequential", True):
            self.contexts[: self.events.n_events] = False
        self.register_buffer("level", torch.zeros(n, dtype=torch.int8))
        self.register_buffer("before", torch.full((n,), torch.nan))

    def before_epoch(self, epoch: int) -> None:
        self.chosen.level = self.level.cpu()
        if epoch > 1 and (epoch - 1) % self.config.every == 0:
            self._move(self.config.alpha * 0.995 ** (epoch // self.config.every))
            self.chosen.level = self.level.cpu()

    def _move(self, threshold: float) -> None:
        """Look at the student's lists, and move contexts on where it has come nearer."""
        level, before, last = self.level.cpu().numpy(), self.before.cpu().numpy(), len(self.stores) - 1
        wanted = (level < last) & self.contexts
        k = min(self.config.k, self.student[0].n_items)
        for positions, scores in scored(self.student[0], self.events, wanted, "the student"):
            own = scores.topk(k, dim=1).indices.cpu()
            now = self._distance(own, positions, level[positions] + 1)
            on = before[positions] > threshold * now  # never at the first look, which is NaN
            on |= now < _ARRIVED
            level[positions] += on
            further = positions[on]
            now[on] = self._distance(own[torch.from_numpy(on)], further, np.minimum(level[further] + 1, last))
            # elsewhere the distance at the time of the last move stays what the present one is compared with
            before[positions] = np.where(on | np.isnan(before[positions]), now, before[positions])
        self.level.copy_(torch.from_numpy(level))
        self.before.copy_(torch.from_numpy(before))

    def _distance(
        self, own: Tensor, positions: npt.NDArray[np.int64], level: npt.NDArray[np.int8]
    ) -> npt.NDArray[np.float32]:
        """Of the student's lists to those of some snapshot each."""
        found = np.ones(len(positions), dtype=np.float32)
        for number in np.unique(level):
            mine = np.flatnonzero(level == number)
            listed = self.stores[number].read(positions[mine]).items[:, : self.config.k].astype(np.int64)
            found[mine] = discrepancy(own[torch.from_numpy(mine)], torch.from_numpy(listed)).numpy()
        return found

    def facts(self) -> dict[str, float]:
        """Mean snapshot over the contexts: 0 the first, 1 the last."""
        return {"level": float(self.level.cpu().numpy()[self.contexts].mean()) / (len(self.stores) - 1)}


def discrepancy(own: Tensor, wanted: Tensor) -> Tensor:
    """1 − NDCG of some lists against others, whose items gain ``2^exp(−rank / 10) − 1``: float ``[n]``.

    Args:
        own: int64 ``[n, k]``, the lists, best first, -1 for none.
        wanted: int64 ``[n, m]``, those that would be perfect; -1 for none.
    """
    gain = torch.exp2(torch.exp(-torch.arange(wanted.shape[1]) / _SCALE)) - 1
    place, real = places(wanted, own), wanted >= 0
    got = torch.where(place >= 0, gain / torch.log2(place.clamp_min(0) + 2.0), 0.0).sum(1)
    most = torch.where(real, gain / torch.log2(torch.arange(wanted.shape[1]) + 2.0), 0.0).sum(1)
    return torch.where(most > 0, 1 - got / most.clamp_min(1e-12), 1.0)
