"""Ranking objectives with their sides exchanged: for an item, the contexts in the teacher's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ...data.dataset import Split
from ...knowledge import Knowledge
from ...models.neural import NeuralModel
from ..base import FeatureObjective, Features, ObjectiveConfig, Targets, TeacherRankings, the_only
from ..rows import padded
from .comparisons import Comparison
from .samplers import Sampler
from .scene import Scene

__all__ = ["ItemSide", "ItemSideConfig", "exchanged"]


class ItemSideConfig(ObjectiveConfig):
    """Parameters of an objective that ranks the users (or histories) of a step for each item."""

    teacher: str | None = Field(None, description="whose rankings; needed only if several teachers left some")
    items: int = Field(256, ge=1, description="items of a step for which users are ranked")
    depth: int = Field(100, ge=2, description="length of an item's list of users")

    @property
    def reads(self) -> tuple[str, ...]:
        return ("rankings",)


class ItemSide(FeatureObjective):
    """What ``ListObjective`` compares at a position, compared at an item.

    An item's list are those contexts of the step whose stored list has the item, best first by its log-probability
    there. The student's score of a context for an item counts relative to the mean of the context over the items drawn:
    a score says nothing about other contexts, as the losses that scores are learned by do not either.

    Args:
        config: Parameters of the method.
        pick: Which contexts.
        compare: What is compared.
    """

    config: ItemSideConfig
    dense: ClassVar[bool] = False

    def __init__(self, config: ItemSideConfig, pick: Sampler, compare: Comparison) -> None:
        super().__init__(config)
        self.pick, self.compare = pick, compare

    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        self.teachers = (the_only(knowledge.rankings(self.config.teacher), split.fingerprint).manifest.teacher,)

    def loss(self, features: Features) -> Tensor:
        known, n_items = features.rankings[self.teachers[0]], len(features.table)
        real = ~known.logp.isneginf() & (known.confidence > 0)[:, None]
        listed, labels = known.items.masked_fill(~real, -1), features.batch.labels
        asked = torch.nonzero(torch.bincount(known.items[real], minlength=n_items) > 1)[:, 0]
        asked = asked[torch.randperm(len(asked), device=asked.device)[: self.config.items]]
        if not len(asked):  # no item is listed twice
            return features.hidden.sum() * 0.0
        scores = features.table[asked].float() @ features.hidden.float().T
        rows, logp = exchanged(listed, known.logp, asked, n_items, self.config.depth)
        answers = TeacherRankings(rows.clamp_min(0), logp, {1.0: logp[:, 0] * 0}, torch.ones_like(logp[:, 0]))
        seen, _ = exchanged(labels, torch.zeros_like(labels, dtype=logp.dtype), asked, n_items, len(labels))
        targets = Targets(padded(seen, max(seen.shape[1], 1)), torch.ones_like(seen, dtype=logp.dtype), {})
        scene = Scene(Whole(scores - scores.mean(0)), answers, targets, torch.zeros_like(scores[0]))
        with torch.no_grad():
            picked = self.pick(scene)
        values = scene.scores.of(picked.items)
        return self.compare(values, picked, picked.real.to(values.dtype), scene.scores.n_items).mean()


def exchanged(items: Tensor, keys: Tensor, asked: Tensor, n_items: int, depth: int) -> tuple[Tensor, Tensor]:
    """The rows that have each of some items, by descending key.

    Args:
        items: int64 ``[n, k]``, -1 for none.
        keys: float ``[n, k]``.
        asked: int64 ``[m]``, all different.
        n_items: Catalogue size.
        depth: Rows kept for an item at most.

    Returns:
        Row numbers, int64 ``[m, w]`` with -1 where there are fewer, and their keys with -inf there.
    """
    number = torch.full((n_items + 1,), -1, device=items.device)  # the last one is for none
    number[asked] = torch.arange(len(asked), device=items.device)
    found = number[items]
    row, column = torch.nonzero(found >= 0, as_tuple=True)
    item, key = found[row, column], keys[row, column]
    order = key.argsort(descending=True, stable=True)
    order = order[item[order].argsort(stable=True)]
    row, item, key = row[order], item[order], key[order]
    counts = torch.bincount(item, minlength=len(asked))
    place = torch.arange(len(item), device=items.device) - (counts.cumsum(0) - counts)[item]
    width = min(depth, int(counts.max())) if len(counts) else 0
    rows = torch.full((len(asked), width), -1, device=items.device)
    sorted_keys = torch.full((len(asked), width), -torch.inf, dtype=keys.dtype, device=items.device)
    kept = place < width
    rows[item[kept], place[kept]], sorted_keys[item[kept], place[kept]] = row[kept], key[kept]
    return rows, sorted_keys


@dataclass
class Whole:
    """Scores that are few enough to be held at once: float ``[n, m]``."""

    matrix: Tensor
    exact: bool = True

    @property
    def states(self) -> Tensor:
        """The rows stand for themselves."""
        return self.matrix.detach()

    @property
    def n_items(self) -> int:
        """Columns."""
        return self.matrix.shape[1]

    def of(self, items: Tensor) -> Tensor:
        """Some of them."""
        return self.matrix.gather(1, items)

    def logsumexp(self, temperature: float = 1.0, without: Tensor | None = None) -> Tensor:
        """Over all columns but some."""
        return (self._left(self.matrix, without) / temperature).logsumexp(dim=1)

    @torch.no_grad()
    def top(self, k: int, without: Tensor | None = None) -> Tensor:
        """Best columns, -1 where there are fewer."""
        found, columns = self._left(self.matrix, without).topk(min(k, self.n_items), dim=1)
        return padded(columns.masked_fill(found.isneginf(), -1), k)

    @torch.no_grad()
    def ranks(self, items: Tensor, without: Tensor | None = None) -> Tensor:
        """How many columns are above each of some."""
        ascending = self._left(self.matrix, without).sort(dim=1).values
        return self.n_items - torch.searchsorted(ascending, self.of(items), right=True)

    @staticmethod
    def _left(scores: Tensor, without: Tensor | None) -> Tensor:
        if without is None:
            return scores
        out = torch.zeros(scores.shape[0], scores.shape[1] + 1, dtype=torch.bool, device=scores.device)
        return scores.masked_fill(
            out.scatter_(1, without.masked_fill(without < 0, scores.shape[1]), True)[:, :-1], -torch.inf
        )
