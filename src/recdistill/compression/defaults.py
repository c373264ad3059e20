"""The chain that is tried if nobody names one."""

from __future__ import annotations

from ..models.base import RankingModel
from ..models.neural import NeuralModel
from ..models.sasrec import SASRecModel
from .steps.base import Step
from .steps.deflate import Deflate
from .steps.int4 import Int4
from .steps.int8 import Int8
from .steps.low_rank import LowRank
from .steps.pq import PQ
from .steps.prune_feed_forward import PruneFeedForward
from .steps.prune_neighbours import PruneNeighbours

__all__ = ["default_steps"]


def default_steps(model: RankingModel) -> list[Step]:
    """From the harmless to the daring: whatever the gate undoes, the chain goes on without.

    Args:
        model: Fitted.
    """
    if model.config.name == "popularity":
        return [Deflate()]
    if not isinstance(model, NeuralModel):
        return [Int8(), PruneNeighbours(), Int4(), Deflate()]
    structure: list[Step] = [PruneFeedForward()] if isinstance(model, SASRecModel) else []
    return [Int8(), LowRank(), *structure, Int4(), PQ(), Deflate()]
