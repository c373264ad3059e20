"""Rows of matrices as sets and as rankings."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["ascending", "contained", "first_of_each", "padded", "places"]


def ascending(values: Tensor) -> Tensor:
    """The rows sorted; on a CPU by NumPy, which is about ten times faster at it than torch."""
    if values.device.type == "cpu":
        return torch.from_numpy(np.sort(values.numpy(), axis=1))
    return values.sort(dim=1).values


def padded(items: Tensor, k: int) -> Tensor:
    """The first ``k`` columns, with columns of -1 behind where there are fewer: int64 ``[n, k]``."""
    missing = max(k - items.shape[1], 0)
    return torch.nn.functional.pad(items[:, :k], (0, missing), value=-1)


def places(items: Tensor, among: Tensor) -> Tensor:
    """The column of each item in its row of ``among``, -1 where it is not there: int64 ``[n, k]``.

    Args:
        items: int64 ``[n, k]``.
        among: int64 ``[n, m]``, m at least 1; -1 stands for none.
    """
    found, columns, place = _searched(items, among)
    return columns.gather(1, place).masked_fill_(~found, -1)


def contained(items: Tensor, among: Tensor) -> Tensor:
    """Which items are in the set of their row: bool ``[n, k]``; -1 stands for none and is in no set.

    Args:
        items: int64 ``[n, k]``.
        among: int64 ``[n, m]``, the sets.
    """
    if among.shape[1] > 1:
        return _searched(items, among)[0]
    found = items == among if among.shape[1] else torch.zeros_like(items, dtype=torch.bool)
    return found & (items >= 0)


def _searched(items: Tensor, among: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which items are in their row of ``among``, its columns in ascending order, and the place among them."""
    ordered, columns = among.sort(dim=1)
    place = torch.searchsorted(ordered, items.contiguous()).clamp_max_(among.shape[1] - 1)
    return (ordered.gather(1, place) == items) & (items >= 0), columns, place


def first_of_each(items: Tensor) -> Tensor:
    """The rows with all but one of each item's occurrences replaced by -1, ascending: int64 ``[n, k]``."""
    if items.shape[1] <= 1:
        return items
    ordered = items.sort(dim=1).values
    again = torch.zeros_like(ordered, dtype=torch.bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return ordered.masked_fill(again, -1)
