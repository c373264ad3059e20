"""Rankings of a network that says something now: the same form as stored ones."""

from __future__ import annotations

import torch
from torch import Tensor

from ...models.neural import Batch
from ...objectives.base import TeacherRankings
from ..learner import Forward
from ..seen import seen

__all__ = ["ranked"]

_CHUNK_NUMBERS = 1 << 22
"""Scores held at once: 16 MB."""


@torch.no_grad()
def ranked(
    said: Forward, batch: Batch, temperatures: tuple[float, ...], *, k: int, sequential: bool, exclude_seen: bool = True
) -> TeacherRankings:
    """The first items and the tails.

    Args:
        said: What the network says at the ``n`` positions of a batch.
        batch: The batch.
        temperatures: At which the tail is wanted.
        k: Items in a ranking.
        sequential: Whether the network reads histories.
        exclude_seen: Items of the history get no probability.
    """
    hidden, table = said.hidden.float(), said.table.float()
    history = seen(batch, sequential, len(table)) if exclude_seen else batch.labels[:, :0]
    step = max(1, _CHUNK_NUMBERS // len(table))
    parts = [
        _ranked(hidden[start : start + step], table, said.bias, history[start : start + step], k, temperatures)
        for start in range(0, len(hidden), step)
    ]
    items, logp, *tails = (torch.cat(values) for values in zip(*parts, strict=True))
    confidence = (~logp[:, 0].isneginf()).float()
    return TeacherRankings(items, logp, dict(zip(temperatures, tails, strict=True)), confidence)


def _ranked(
    hidden: Tensor, table: Tensor, bias: Tensor | None, seen: Tensor, k: int, temperatures: tuple[float, ...]
) -> tuple[Tensor, ...]:
    scores = hidden @ table.T
    if bias is not None:
        scores += bias.float()
    row, column = torch.nonzero(seen >= 0, as_tuple=True)
    scores[row, seen[row, column]] = -torch.inf
    # where every item was seen, no item has a probability
    logp = torch.where(scores.isneginf().all(1, keepdim=True), scores, torch.log_softmax(scores, dim=1))
    values, items = logp.topk(min(k, len(table)), dim=1)
    rest = logp.scatter_(1, items, -torch.inf)
    tails = [torch.logsumexp(rest / temperature, dim=1) for temperature in temperatures]
    return items.masked_fill(values.isneginf(), 0), values, *tails
