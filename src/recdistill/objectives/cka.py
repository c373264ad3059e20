"""Centred kernel alignment: the student's vectors like the teacher's up to rotation and scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from .vectors import Pairs, VectorsConfig, VectorsObjective

__all__ = ["CKA", "CKALoss"]


class CKA(VectorsConfig):
    """``1 − |TᵀS|² / (|SᵀS| · |TᵀT|)``, columns of ``S`` and ``T`` centred, Frobenius norms; mean over users and items.

    1 − linear CKA (Kornblith et al. 2019, https://arxiv.org/abs/1905.00414) of the vectors of a step: 0 if one is a
    rotation and scaling of the other. Wide directions of the teacher count most, so a narrow student learns those.
    From few vectors the value is too low; let a step have more of them than the teacher has components.
    """

    name: ClassVar[str] = "cka"

    def build(self) -> CKALoss:
        return CKALoss(self)


class CKALoss(VectorsObjective):
    """The term described by :class:`CKA`."""

    def compared(self, sides: Mapping[str, Pairs]) -> Tensor:
        return torch.stack([1 - alignment(pairs.student, pairs.teacher) for pairs in sides.values()]).mean()


def alignment(a: Tensor, b: Tensor) -> Tensor:
    """Linear CKA of two sets of vectors of the same things: a scalar in [0, 1]."""
    a, b = a - a.mean(0), b - b.mean(0)
    shared, own, other = (x.T @ y for x, y in ((a, b), (a, a), (b, b)))
    lengths = (own.square().sum() * other.square().sum()).clamp_min(1e-24).sqrt()  # the root has no slope at 0
    return shared.square().sum() / lengths
