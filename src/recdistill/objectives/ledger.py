"""Where a teacher was listened to: means over the positions of an epoch, overall and by kind of position."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import Split
from ..data.popular import head_items

__all__ = ["SLICES", "Ledger", "kinds_of_positions"]

_HEAD, _TAIL, _UNLABELLED = 0, 1, 2
_KINDS = 6
"""Short and long histories, times what the label is."""

SLICES = {
    "all": (0, 1, 2, 3, 4, 5),
    "short": (0, 1, 2),
    "long": (3, 4, 5),
    "head": (_HEAD, 3 + _HEAD),
    "tail": (_TAIL, 3 + _TAIL),
    "ends": (_UNLABELLED, 3 + _UNLABELLED),
}
"""Slices of positions and the kinds that belong to each: histories up to and beyond the median length of the labelled
positions, labels among the items that make up 80 % of the training events and among the others. Ends of rows have no
label, and are a slice of their own."""

_OF_LABELS = frozenset({"listed", "teacher_logp", "student_logp"})
"""What only means something where there is a label."""


def kinds_of_positions(split: Split) -> Tensor:
    """The kind of every training position: uint8 ``[n_positions]``; see :data:`SLICES`."""
    train = split.train
    before = np.arange(train.n_events) - np.repeat(train.offsets[:-1], train.lengths)
    labelled = before[before > 0]
    middle = int(np.median(labelled)) if len(labelled) else 0
    label = np.where(head_items(split.popularity)[train.items], _HEAD, _TAIL)
    at_events, at_ends = 3 * (before > middle) + label, 3 * (train.lengths > middle) + _UNLABELLED
    return torch.from_numpy(np.concatenate([at_events, at_ends]).astype(np.uint8))


class Ledger:
    """Sums over the positions that an objective met since the last page was closed.

    Args:
        kinds: Of every position, see :func:`kinds_of_positions`.
        device: Where the positions come from.
    """

    def __init__(self, kinds: Tensor, device: torch.device) -> None:
        self._kinds = kinds.to(device)
        self._exact = torch.float32 if device.type == "mps" else torch.float64  # which it does not know
        self._names: tuple[str, ...] = ()
        self._sums: dict[str, Tensor] = {}

    @torch.no_grad()
    def add(self, teacher: str, positions: Tensor, values: dict[str, Tensor]) -> None:
        """Count some positions.

        Args:
            teacher: Whom the values are about.
            positions: int64 ``[n]``.
            values: By name, float ``[n]`` each; the same names at every call.
        """
        rows = torch.stack([torch.ones_like(next(iter(values.values()))), *values.values()]).to(self._exact)
        if teacher not in self._sums:
            self._names = tuple(values)
            self._sums[teacher] = rows.new_zeros(len(rows), _KINDS)
        self._sums[teacher].index_add_(1, self._kinds[positions].long(), rows)

    def close(self) -> dict[str, dict[str, dict[str, float]]]:
        """Teacher, slice, name to the mean since the last call, and the ``positions`` that each slice had."""
        pages = {teacher: self._page(sums.cpu()) for teacher, sums in self._sums.items()}
        self._sums = {}
        return pages

    def _page(self, sums: Tensor) -> dict[str, dict[str, float]]:
        page: dict[str, dict[str, float]] = {}
        for name, kinds in SLICES.items():
            count, *totals = sums[:, list(kinds)].sum(1).tolist()
            labels = float(sums[0, [kind for kind in kinds if kind % 3 != _UNLABELLED]].sum())
            page[name] = {"positions": int(count)}
            for value, total in zip(self._names, totals, strict=True):
                of = labels if value in _OF_LABELS else count
                if of:
                    page[name][value] = total / of
        return page
