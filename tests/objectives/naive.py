"""Scores the obvious way, a full matrix that autograd sees through, and made-up targets to compare them with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recdistill.knowledge import Rankings, rankings_of
from recdistill.objectives.base import Targets, TeacherRankings

TEMPERATURES = (0.5, 1.0, 2.0, 3.7)


@dataclass
class NaiveScores:
    """Of a matrix float ``[n, n_items]``; it stands for the states, too, where these are not given."""

    matrix: Tensor
    exact: bool = True
    hidden: Tensor | None = None

    @property
    def n_items(self) -> int:
        return self.matrix.shape[1]

    @property
    def states(self) -> Tensor:
        return (self.matrix if self.hidden is None else self.hidden).detach()

    def of(self, items: Tensor) -> Tensor:
        return self.matrix.gather(1, items)

    def logsumexp(self, temperature: float = 1.0, without: Tensor | None = None) -> Tensor:
        out = torch.zeros_like(self.matrix, dtype=torch.bool)
        if without is not None:
            for row, items in enumerate(without.tolist()):
                out[row, [item for item in items if item >= 0]] = True
        rest = torch.logsumexp((self.matrix / temperature).masked_fill(out, -1e30), dim=1)
        return torch.maximum(rest, torch.logsumexp(self.matrix.detach() / temperature, dim=1) + np.log(1e-6))

    def top(self, k: int, without: Tensor | None = None) -> Tensor:
        rows = []
        for row, out in zip(self.matrix.tolist(), self._out(without), strict=True):
            order = sorted(set(range(self.n_items)) - out, key=lambda item: -row[item])[:k]
            rows.append(order + [-1] * (k - len(order)))
        return torch.tensor(rows)

    def ranks(self, items: Tensor, without: Tensor | None = None) -> Tensor:
        rows = zip(self.matrix.tolist(), items.tolist(), self._out(without), strict=True)
        ranks = [
            [sum(score > row[item] for other, score in enumerate(row) if other not in out) for item in asked]
            for row, asked, out in rows
        ]
        return torch.tensor(ranks).reshape(items.shape)

    def _out(self, without: Tensor | None) -> list[set[int]]:
        return [set() for _ in self.matrix] if without is None else [set(row) - {-1} for row in without.tolist()]


def teacher_rankings(rankings: Rankings, n_items: int) -> TeacherRankings:
    """As the loader makes them."""
    absent = rankings.items < 0
    return TeacherRankings(
        torch.from_numpy(np.where(absent, 0, rankings.items).astype(np.int64)),
        torch.from_numpy(np.where(absent, -np.inf, rankings.logp)).float(),
        {t: torch.from_numpy(rankings.tail_at(t, n_items)) for t in TEMPERATURES},
        torch.from_numpy(rankings.confidence).float(),
    )


def made_up_targets(
    n: int, n_items: int, k: int, seed: int = 0, teachers: tuple[str, ...] = ("teacher",), m: int = 1
) -> Targets:
    """Targets with all that is odd: few listed items, none, no answer, no weight, nothing left for the tail.

    With more than one label, some positions have fewer, and one has none.
    """
    random = np.random.default_rng(seed)
    known = {}
    for name in teachers:
        scores = 3 * random.standard_normal((n, n_items)).astype(np.float32)
        scores[0, 2:] = -np.inf  # two items have all the probability: k - 2 places are empty
        scores[1 % n] = -np.inf  # an empty list
        rankings = rankings_of(scores, k)
        rankings.confidence[:] = random.random(n).astype(np.float32)
        rankings.confidence[2 % n] = 0.0
        known[name] = teacher_rankings(rankings, n_items)
    weights = torch.from_numpy(random.random((n, m)).astype(np.float32) + 0.5)
    weights[3 % n] = 0.0
    labels = torch.from_numpy(np.argsort(random.random((n, n_items)), axis=1)[:, :m])
    if m > 1:
        labels[torch.from_numpy(random.random((n, m)) < 0.3)] = -1
        labels[4 % n] = -1
    return Targets(labels, weights.masked_fill(labels < 0, 0.0), known)
