"""Full Topology Distillation: all relations among the users and items of a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from .vectors import Pairs, VectorsConfig, VectorsObjective, in_one_space

__all__ = ["FTD", "FTDLoss", "cosines", "together"]


class FTD(VectorsConfig):
    """``(cos(s_i, s_j) − cos(t_i, t_j))²``, mean over all pairs of users and items of a step.

    ``s`` and ``t`` are the student's and the teacher's vectors, whatever their widths. For students that are not much
    smaller than the teacher; others cannot keep all relations and do better with ``htd``. Kang et al. 2021,
    https://arxiv.org/abs/2106.08700. Variant: the mean over pairs instead of their sum; the weight of 0.001 that their
    code gives to the sum over a step of 1,024 events is one of 5 to 10 here, if the task counts 1 for each event. The
    cross-entropy of a student of users adds up all of a user's items: weigh it by about 1 / their number beside this.
    """

    name: ClassVar[str] = "ftd"

    def build(self) -> FTDLoss:
        return FTDLoss(self)


class FTDLoss(VectorsObjective):
    """The term described by :class:`FTD`."""

    def compared(self, sides: Mapping[str, Pairs]) -> Tensor:
        pairs = together(sides)
        return functional.mse_loss(cosines(pairs.student, pairs.student), cosines(pairs.teacher, pairs.teacher))


def together(sides: Mapping[str, Pairs]) -> Pairs:
    """Users and items one below the other: they lie in one space, at the student as at the teacher."""
    in_one_space(sides)
    return Pairs(torch.cat([p.student for p in sides.values()]), torch.cat([p.teacher for p in sides.values()]))


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of each row of one with each of the other: float ``[m, n]``; 0 for rows of zeros."""
    return functional.normalize(a, dim=1) @ functional.normalize(b, dim=1).T
