"""For whom is it better: targets that are popular, rare or cold; contexts with short or long histories.

A slice of *items* (``head``, ``tail``, ``cold``: disjoint, together the catalogue) keeps only the targets in it: the
recall of the tail, for example, is over the tail's targets. A slice of *contexts* (``short``, ``long``) keeps whole
contexts. Ranked lists are the same in every slice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..data.dataset import Contexts, Split
from ..data.popular import HEAD_SHARE, head_items
from .metrics import Hits, hits

__all__ = ["SLICES", "Slice", "slices"]

SLICES = ("head", "tail", "cold", "short", "long")

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A part of the targets.

    Attributes:
        about: What belongs to it, in words.
        targets: bool ``[all targets]``, which ones it keeps.
        size: Contexts that have one of them.
    """

    about: str
    targets: Mask
    size: int

    def __repr__(self) -> str:
        return f"<Slice: {self.about}, in {self.size:,} contexts>"

    def hits(self, ranked: npt.NDArray[np.int32], contexts: Contexts) -> Hits:
        """Hits on the targets of this slice only."""
        return hits(ranked, contexts.targets.keep(self.targets))


def slices(split: Split, contexts: Contexts) -> Mapping[str, Slice]:
    """The slices of :data:`SLICES`; short histories have at most as many events as the median one."""
    head, cold = head_items(split.popularity), split.popularity == 0
    share = f"{HEAD_SHARE:.0%} of the training events"
    lengths = contexts.history.lengths
    middle = int(np.median(lengths)) if len(lengths) else 0
    items, rows = contexts.targets.items, contexts.targets.row_of_event()
    short = (lengths <= middle)[rows]
    masks = {
        "head": (f"targets among the {head.sum():,} items that make up {share}", head[items]),
        "tail": ("targets among the other items with training events", ~(head | cold)[items]),
        "cold": (f"targets among the {cold.sum():,} items without training events", cold[items]),
        "short": (f"contexts with a history of at most {middle} events", short),
        "long": (f"contexts with a history of more than {middle} events", ~short),
    }
    return {name: Slice(about, mask, len(np.unique(rows[mask]))) for name, (about, mask) in masks.items()}
