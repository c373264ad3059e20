"""What the contexts of a batch have seen."""

from __future__ import annotations

import torch
from torch import Tensor

from ..models.neural import Batch

__all__ = ["seen"]


def seen(batch: Batch, sequential: bool, n_items: int) -> Tensor:
    """Items of the history of each context: int64 ``[n, m]``, -1 for none.

    Args:
        batch: Windows, of which a position has seen what comes before it; or users, whose labels are their history.
        sequential: Whether inputs are histories.
        n_items: The padding index.
    """
    if not sequential:
        return batch.labels
    length = batch.inputs.shape[1]
    row, column = batch.at // length, batch.at % length
    later = torch.arange(length, device=row.device) > column[:, None]
    items = batch.inputs[row].masked_fill(later, -1)
    return items.masked_fill(items == n_items, -1)
