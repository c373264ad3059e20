"""What the parts of a ranking objective look at: student, teacher and labels at some positions, and items picked."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..base import Scores, Targets, TeacherRankings
from ..rows import contained, first_of_each, places

__all__ = ["LEAST_LOGP", "NEVER", "Picked", "Scene", "gumbel"]

NEVER = -1e30
"""Log-probability of what cannot be; finite, so that 0 · log 0 is 0 and no gradient is NaN."""


LEAST_LOGP = -50.0
"""Log-probability of a label at least, where it is averaged: what a teacher rules out must not outweigh all else."""


@dataclass(frozen=True, slots=True)
class Picked:
    """Items at ``n`` positions that are compared, the ordered ones first and as the teacher orders them.

    Attributes:
        items: int64 ``[n, s]``; 0 where there is none.
        logp: float ``[n, s]``, the teacher's log-probability; ``NEVER`` where there is none.
        ranks: int64 ``[n, s]``, place in the teacher's list from 0; its length for items that are not listed.
        real: bool ``[n, s]``, where there is an item.
        ordered: bool ``[n, s]``, items whose order is to be learned; other real ones shall only be below them all.
    """

    items: Tensor
    logp: Tensor
    ranks: Tensor
    real: Tensor
    ordered: Tensor

    def beside(self, below: Picked) -> Picked:
        """Both; those of ``below`` are not ordered."""
        return Picked(
            torch.cat([self.items, below.items], dim=1),
            torch.cat([self.logp, below.logp], dim=1),
            torch.cat([self.ranks, below.ranks], dim=1),
            torch.cat([self.real, below.real], dim=1),
            torch.cat([self.ordered, torch.zeros_like(below.ordered)], dim=1),
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """All there is to know at ``n`` positions.

    Attributes:
        scores: Of the student.
        known: The teacher's stored rankings.
        targets: Labels.
        popularity: float ``[n_items]``, training events of each item.
    """

    scores: Scores
    known: TeacherRankings
    targets: Targets
    popularity: Tensor

    @property
    def listed(self) -> Tensor:
        """The teacher's list: int64 ``[n, k]``, -1 where there is no item."""
        return self.known.items.masked_fill(self.known.logp.isneginf(), -1)

    @property
    def seen(self) -> Tensor:
        """Labels and items of the history that the teacher does not list, each once: int64 ``[n, m]``, -1 for none.

        A user's labels are what they already have, as is a history: neither the teacher nor the student should
        recommend it, so it does not count when rankings are compared.
        """
        items = self.targets.labels
        if self.targets.history is not None:
            items = torch.cat([items, self.targets.history], dim=1)
        return first_of_each(items.masked_fill(contained(items, self.listed), -1))

    @property
    def label_places(self) -> Tensor:
        """Where the teacher's list has each label: int64 ``[n, m]``, -1 where it has not."""
        labels = self.targets.labels
        if labels.shape[1] > 1:
            return places(labels, self.listed)
        found = (self.known.items == labels) & ~self.known.logp.isneginf()  # of a single label, much cheaper
        return torch.where(found.any(1), found.int().argmax(1), -1)[:, None]

    def label_logp(self, at: Tensor) -> Tensor:
        """The teacher's log-probability of each label: float ``[n, m]``; 0 where there is none.

        A label that is not listed is taken to have the mean probability of those that are not.

        Args:
            at: :attr:`label_places`.
        """
        unlisted = self.known.tails[1.0] - (self.scores.n_items - self.lengths[:, 0]).clamp_min(1).log()
        logp = torch.where(at >= 0, self.known.logp.gather(1, at.clamp_min(0)), unlisted[:, None])
        return logp.clamp_min(LEAST_LOGP).masked_fill(self.targets.labels < 0, 0.0)

    @property
    def student_label_logp(self) -> Tensor:
        """The student's log-probability of each label at present: float ``[n, m]``; 0 where there is none."""
        labels = self.targets.labels
        logp = self.scores.of(labels.clamp_min(0)) - self.scores.logsumexp()[:, None]
        return logp.detach().masked_fill(labels < 0, 0.0)

    def student_ranks(self, items: Tensor) -> Tensor:
        """The student's present ranks of some items among what is not seen: int64 ``[n, s]``."""
        return self.scores.ranks(items, self.seen)

    def student_top(self, k: int) -> Tensor:
        """The student's present best items that are not seen: int64 ``[n, k]``, -1 where there are fewer."""
        return self.scores.top(k, self.seen)

    @property
    def lengths(self) -> Tensor:
        """Items in each list: int64 ``[n, 1]``."""
        return (~self.known.logp.isneginf()).sum(1, keepdim=True)

    def listed_at(self, columns: Tensor, real: Tensor) -> Picked:
        """Items of the list, ordered.

        Args:
            columns: int64 ``[n, s]``, ascending where real.
            real: bool ``[n, s]``, False for columns that are not meant.
        """
        logp = self.known.logp.gather(1, columns)
        real = real & ~logp.isneginf()
        items = self.known.items.gather(1, columns).masked_fill(~real, 0)
        return Picked(items, logp.masked_fill(~real, NEVER), columns, real, real)

    def looked_up(self, items: Tensor) -> Picked:
        """Any items, -1 for none, each at most once; ordered are those that are listed, which come first.

        An item that is not listed is taken to have the mean probability of those that are not. Needs the tail at
        temperature 1.
        """
        column = places(items, self.listed)
        lengths = self.lengths
        ranks = torch.where(column >= 0, column, lengths)
        ranks, order = ranks.masked_fill(items < 0, self.known.items.shape[1] + 1).sort(dim=1, stable=True)
        items, column = items.gather(1, order), column.gather(1, order)
        unlisted = self.known.tails[1.0] - (self.scores.n_items - lengths[:, 0]).clamp_min(1).log()
        logp = torch.where(column >= 0, self.known.logp.gather(1, column.clamp_min(0)), unlisted[:, None])
        real = items >= 0
        return Picked(items.clamp_min(0), logp.clamp_min(NEVER).masked_fill(~real, NEVER), ranks, real, column >= 0)


def gumbel(shape: torch.Size, device: torch.device) -> Tensor:
    """Standard Gumbel noise: the k largest of log-weights plus noise are k draws without replacement.

    Kool et al. 2019, https://arxiv.org/abs/1903.06059.
    """
    return -torch.log(-torch.log(torch.rand(shape, device=device).clamp(1e-20, 1 - 1e-7)))
