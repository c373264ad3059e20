"""Structured pruning: attention heads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field

from ...errors import ConfigError
from ...models.sequence import AttentionModel
from ..candidate import Candidate, Workshop
from ..surgery import keep_heads, watched
from .base import RecoveringStep

__all__ = ["PruneHeads", "attention_of"]


class PruneHeads(RecoveringStep):
    """The attention heads that write least into the stream are taken out (cf. Michel et al. 2019,
    https://arxiv.org/abs/1905.10650).

    What a head writes is measured on training histories: the mean square of its part of the block's output. Every block
    keeps one head at least; ``prune-blocks`` takes out whole ones.
    """

    name: ClassVar[str] = "prune-heads"

    amount: float = Field(0.5, ge=0, lt=1, description="share of the heads of all blocks")

    def check(self, candidate: Candidate) -> None:
        attention_of(candidate, "heads")

    def cut(self, candidate: Candidate, shop: Workshop) -> Candidate:
        model = attention_of(candidate, "heads")
        written = heads_written(model, shop)
        total = sum(map(len, written))
        order = sorted((size, block, head) for block, sizes in enumerate(written) for head, size in enumerate(sizes))
        left = {block: set(range(len(sizes))) for block, sizes in enumerate(written)}
        for _, block, head in order:
            if sum(map(len, left.values())) > total - int(self.amount * total) and len(left[block]) > 1:
                left[block].remove(head)
        for block, heads in left.items():
            keep_heads(model.blocks[block], sorted(heads))
        return replace(candidate, model=model)


@torch.no_grad()
def heads_written(model: AttentionModel, shop: Workshop) -> list[list[float]]:
    """What each head of each block writes into the stream, as a mean square on training histories."""
    blocks: list[Any] = list(model.blocks)
    with watched([block.out for block in blocks]) as seen:
        model.encode(shop.sample)
    width = model.config.width
    found = []
    for block, inputs in zip(blocks, seen, strict=True):
        rows, weight = torch.cat([x.reshape(-1, x.shape[-1]) for x in inputs]), block.out.weight
        parts = zip(torch.split(rows, width, dim=1), torch.split(weight, width, dim=1), strict=True)
        found.append([float((own @ part.T).square().mean()) for own, part in parts])
    return found


def attention_of(candidate: Candidate, what: str) -> AttentionModel:
    """A copy of the network, which must have blocks of attention.

    Args:
        candidate: The candidate.
        what: Named in the message: what it would be pruned of.

    Raises:
        ConfigError: It has no blocks.
    """
    model = candidate.network()
    if not isinstance(model, AttentionModel):
        name = model.config.name
        raise ConfigError(f"{name} has no {what} to prune", hint="sasrec and hstu have; low-rank works on all networks")
    return model
