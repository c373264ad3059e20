"""Which items are the popular ones: what head and tail mean everywhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["HEAD_SHARE", "head_items"]

HEAD_SHARE = 0.8
"""The head is the smallest set of items that makes up this share of the training events."""


def head_items(popularity: npt.NDArray[np.int64], share: float = HEAD_SHARE) -> npt.NDArray[np.bool_]:
    """The most popular items that make up ``share`` of the events, equal counts by lower index: bool ``[n_items]``."""
    order = np.argsort(-popularity, kind="stable")
    before = np.cumsum(popularity[order]) - popularity[order]
    head = np.zeros(len(popularity), dtype=np.bool_)
    head[order] = before < share * popularity.sum()
    return head & (popularity > 0)
