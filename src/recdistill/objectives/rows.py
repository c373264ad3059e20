"""Small sets in the rows of integer matrices."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["contained", "first_of_each"]


def contained(items: Tensor, among: Tensor) -> Tensor:
    """Which items are in the set of their row: bool ``[n, k]``; -1 stands for none and is in no set.

    Args:
        items: int64 ``[n, k]``.
        among: int64 ``[n, m]``, the sets.
    """
    if among.shape[1] <= 1:
        found = items == among if among.shape[1] else torch.zeros_like(items, dtype=torch.bool)
    else:
        ordered = among.sort(dim=1).values
        place = torch.searchsorted(ordered, items.contiguous()).clamp_max_(among.shape[1] - 1)
        found = ordered.gather(1, place) == items
    return found & (items >= 0)


def first_of_each(items: Tensor) -> Tensor:
    """The rows with all but one of each item's occurrences replaced by -1, ascending: int64 ``[n, k]``."""
    if items.shape[1] <= 1:
        return items
    ordered = items.sort(dim=1).values
    again = torch.zeros_like(ordered, dtype=torch.bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return ordered.masked_fill(again, -1)
