"""A bandit that learns which teacher to trust in which kind of context."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...data.dataset import Split
from ...errors import KnowledgeError
from ...knowledge import RankingsStore
from ...models.neural import NeuralModel
from ..base import Targets, TeacherRankings
from ..lists.scene import Scene
from .clusters import clusters_of_positions
from .gate import Judge
from .mixes import Mix

__all__ = ["Bandit"]


class Bandit(Mix):
    """Thompson sampling: at each position one teacher is drawn, as often as it is likely to be the best one there.

    Contexts are clustered by what was taken in them. For each cluster and teacher there is a Beta distribution of the
    gain of its list, ``1 / log2(rank of the label + 1)``; at a position, one number is drawn from each teacher's, and
    the largest wins (Thompson 1933, https://doi.org/10.2307/2332286; Chapelle and Li 2011). Every teacher's list is
    stored, so all learn from a label, not only the one that was drawn. Old gains fade: a cluster remembers about
    ``memory`` of them.

    Judged by ``labels``, it learns on the way. Judged by ``validation``, it has learned all there is before the first
    step: what the lists at the ends of histories are worth for what validation users did next, cluster by cluster.

    Args:
        teachers: How many.
        clusters: Of contexts.
        memory: Gains that a cluster remembers.
        judge: What it learns from.
    """

    members: Tensor
    wins: Tensor
    losses: Tensor

    def __init__(self, teachers: int, clusters: int, memory: float, judge: Judge) -> None:
        super().__init__()
        self.memory, self.judge = memory, judge
        self.sequential = judge == "labels"
        # all of it goes into checkpoints, the clusters too: a resumed training must not fit them a second time
        self.register_buffer("members", torch.zeros(0, dtype=torch.uint8))
        self.register_buffer("wins", torch.zeros(clusters, teachers))
        self.register_buffer("losses", torch.zeros(clusters, teachers))

    def prepare(self, model: NeuralModel, split: Split, stores: Sequence[RankingsStore], seed: int) -> None:  # type: ignore[override]
        self.to(next(model.parameters()).device)
        members = clusters_of_positions(split, len(self.wins), seed)
        self.members = torch.from_numpy(members).to(self.wins.device)
        if self.judge == "validation":
            self._judge_by_validation(split, stores)

    def look_ahead(self, targets: Targets, teachers: Sequence[str]) -> None:
        """Draw a teacher at every position of the step, and learn from its labels afterwards."""
        known = [targets.rankings[teacher] for teacher in teachers]
        if self in known[0].derived:
            return
        assert targets.positions is not None
        cluster = self.members[targets.positions].long()
        drawn = self._draw(cluster, torch.stack([_answered(one) for one in known], dim=1))
        for column, one in enumerate(known):
            one.derived[self] = (drawn[:, column],)
        if self.judge == "labels" and targets.labels.shape[1] == 1:
            labels = targets.labels[:, 0]
            self._learn(cluster, labels >= 0, torch.stack([_gain(one, labels) for one in known], dim=1))

    def forward(self, scenes: Sequence[Scene], answered: Tensor) -> Tensor:
        return torch.stack([scene.known.derived[self][0] for scene in scenes], dim=1)

    @torch.no_grad()
    def _draw(self, cluster: Tensor, answered: Tensor) -> Tensor:
        """The teacher of each position, as shares: float ``[n, teachers]``."""
        posterior = torch.distributions.Beta(1 + self.wins[cluster], 1 + self.losses[cluster], validate_args=False)
        best = posterior.sample().masked_fill(~answered, -1.0).argmax(1)
        return torch.nn.functional.one_hot(best, answered.shape[1]).float() * answered

    @torch.no_grad()
    def _learn(self, cluster: Tensor, judged: Tensor, gain: Tensor) -> None:
        """Count gains ``[n, teachers]`` where there is something to judge by."""
        cluster, gain = cluster[judged], gain[judged]
        self.wins.index_add_(0, cluster, gain)
        self.losses.index_add_(0, cluster, 1 - gain)
        kept = (self.memory / (self.wins + self.losses).clamp_min(1e-12)).clamp_max(1.0)
        self.wins *= kept
        self.losses *= kept

    def _judge_by_validation(self, split: Split, stores: Sequence[RankingsStore]) -> None:
        valid = split.valid
        at = split.position_of(valid)
        at = np.where((at >= 0) & (at < min(store.manifest.rows for store in stores)), at, -1)
        row = valid.targets.row_of_event()
        wanted = ~valid.repeated() & (at[row] >= 0)
        row, targets = row[wanted], torch.from_numpy(valid.targets.items[wanted].astype(np.int64))
        gain, answered = [], False
        for store in stores:
            lists = store.read(at[row])
            items = torch.from_numpy(np.where((lists.confidence > 0)[:, None], lists.items, -1).astype(np.int64))
            answered = answered or bool((items >= 0).any())
            gain.append(_gain_of(items, targets))
        if not answered:
            names = ", ".join(store.manifest.teacher for store in stores)
            hint = "let them rank at the ends of histories (contexts='all'), or use judge: labels"
            raise KnowledgeError(f"none of {names} ranked where validation asks", hint=hint)
        cluster = self.members[torch.from_numpy(at[row]).to(self.members.device)].long()
        columns = torch.stack(gain, dim=1).to(cluster.device)
        self._learn(cluster, torch.ones(len(cluster), dtype=torch.bool, device=cluster.device), columns)


def _answered(known: TeacherRankings) -> Tensor:
    return (known.confidence > 0) & ~known.logp[:, 0].isneginf()


def _gain(known: TeacherRankings, labels: Tensor) -> Tensor:
    """Gain of a label in a list: float ``[n]``, 0 where it is not there."""
    return _gain_of(known.items.masked_fill(known.logp.isneginf(), -1), labels)


def _gain_of(items: Tensor, labels: Tensor) -> Tensor:
    found = (items == labels[:, None]) & (labels >= 0)[:, None]
    return torch.where(found.any(1), 1 / torch.log2(found.int().argmax(1) + 2.0), 0.0)
