"""What validation users did next, as labels of the ends of their histories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...data.dataset import Split
from ...errors import KnowledgeError
from ..lists.scene import Scene

__all__ = ["HeldOut"]


@dataclass(frozen=True)
class HeldOut:
    """The first validation target of each row, where the whole row is its history.

    Targets that are in the history are left out: no list has them.

    Attributes:
        labels: int64 ``[rows]``, -1 for none.
        first_end: Position of the end of the first row.
    """

    labels: Tensor
    first_end: int

    @classmethod
    def of(cls, split: Split, device: torch.device) -> HeldOut:
        """The labels of a split.

        Raises:
            KnowledgeError: There are none.
        """
        valid, ends = split.valid, split.train.n_events
        targets = valid.targets.keep(~valid.repeated())
        at = split.position_of(valid)
        known = (at >= ends) & (targets.lengths > 0)
        labels = np.full(len(split.train), -1, dtype=np.int64)
        labels[at[known] - ends] = targets.items[targets.offsets[:-1][known]]
        if not known.any():
            raise KnowledgeError(
                "no validation target to judge teachers by", hint="use judge: labels, or another split"
            )
        return cls(torch.from_numpy(labels).to(device), ends)

    def at(self, positions: Tensor) -> Tensor:
        """The label of each position, -1 for none: int64 ``[n]``."""
        at_end = positions >= self.first_end
        return torch.where(at_end, self.labels[(positions - self.first_end).clamp_min(0)], -1)

    def scenes(self, scenes: Sequence[Scene]) -> list[Scene]:
        """The same with these labels instead of the training labels."""
        targets = scenes[0].targets
        assert targets.positions is not None
        labels = self.at(targets.positions)[:, None]
        told = replace(targets, labels=labels, weights=(labels >= 0).to(targets.weights.dtype))
        return [replace(scene, targets=told) for scene in scenes]
