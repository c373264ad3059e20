"""Rejuvenated cross-entropy: softmax over the student's own top, and over a set that reaches the teacher's."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from .lists import ListConfig, RankingsObjective, Scene
from .lists.comparisons import Softmax
from .lists.scene import Picked, gumbel
from .rows import contained, places

__all__ = ["RCEKD", "RCEKDLoss"]

_MOST = 50
"""Teacher items behind a place that raise its chance to be sampled, at most."""


class RCEKD(ListConfig):
    """``(1 − w) · KL on the student's first k + w · KL on sampled student items and the teacher's missing ones``.

    Cross-entropy on a set of items bounds NDCG only if the set holds whatever the student ranks above its members. The
    student's first ``k`` do. For those of the teacher's first ``k`` that are not among them, ``sampled`` items are
    drawn from the student's first ``pool`` by ``exp((teacher items at or behind + 1) / scale)``, so that what stands
    above them is likely there. ``w = exp(−beta · share of the teacher's k that were sampled)``. Zhu and Zhang 2025,
    https://arxiv.org/abs/2509.20989, after their published code. Variant: stored lists do not have the teacher's scores
    of all items, so one that is not listed has the mean probability of those; divergences instead of cross-entropies,
    with the same gradient; rankings are those of the present scores, not of the last epoch. Their settings differ from
    data to data and were not confirmed.
    """

    name: ClassVar[str] = "rce-kd"

    k: int = Field(50, ge=1, description="length of both rankings")
    sampled: int = Field(50, ge=1, description="items sampled from the student's ranking")
    pool: int = Field(200, ge=1, description="length of the ranking they are sampled from")
    scale: float = Field(10.0, gt=0, description="teacher items by which the chance rises by the factor e")
    beta: float = Field(3.0, ge=0, description="how fast the second part fades as teacher and student agree")
    temperature: float = Field(1.0, gt=0)

    def build(self) -> RCEKDLoss:
        return RCEKDLoss(self)


class RCEKDLoss(RankingsObjective):
    """The term described by :class:`RCEKD`."""

    config: RCEKD

    @property
    def temperatures(self) -> tuple[float, ...]:
        return (1.0,)

    def compared(self, scene: Scene) -> Tensor:
        with torch.no_grad():
            pool, listed = scene.student_top(self.config.pool), scene.listed[:, : self.config.k]
            own, sampled = pool[:, : self.config.k], self._sampled(pool, listed)
            missing = listed.masked_fill(contained(listed, own) | contained(listed, sampled), -1)
            near, far = scene.looked_up(own), scene.looked_up(torch.cat([sampled, missing], dim=1))
            met = contained(listed, sampled).sum(1) / (listed >= 0).sum(1).clamp_min(1)
            weight = torch.exp(-self.config.beta * met)
        return (1 - weight) * self._divergence(scene, near) + weight * self._divergence(scene, far)

    def _sampled(self, pool: Tensor, listed: Tensor) -> Tensor:
        """Items drawn from the student's ranking: int64 ``[n, sampled]``, -1 for none."""
        place = places(listed, pool)
        here = torch.zeros_like(pool).scatter_add_(1, place.clamp_min(0), (place >= 0).long())
        behind = here.flip(1).cumsum(1).flip(1).clamp_max(_MOST)
        keys = (behind + 1) / self.config.scale + gumbel(pool.shape, pool.device)
        chosen = keys.masked_fill(pool < 0, -torch.inf).topk(min(self.config.sampled, pool.shape[1]), dim=1).indices
        return pool.gather(1, chosen)

    def _divergence(self, scene: Scene, picked: Picked) -> Tensor:
        values = scene.scores.of(picked.items)
        return Softmax(self.config.temperature)(values, picked, picked.real.to(values.dtype), scene.scores.n_items)
