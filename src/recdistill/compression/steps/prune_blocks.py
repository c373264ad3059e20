"""Structured pruning: whole blocks."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

import torch
from pydantic import Field
from torch.nn import functional

from ...errors import ConfigError
from ...models.sequence import AttentionModel
from ..candidate import Candidate, Workshop
from ..surgery import watched, without_block
from .base import RecoveringStep
from .prune_heads import attention_of

__all__ = ["PruneBlocks"]


class PruneBlocks(RecoveringStep):
    """The blocks that change the stream least are taken out (Men et al. 2024, https://arxiv.org/abs/2403.03853).

    How much a block changes is ``1 − cos`` of what goes in and what comes out, on training histories.
    """

    name: ClassVar[str] = "prune-blocks"

    blocks: int = Field(1, ge=0, description="how many are taken out; one stays at least")

    def check(self, candidate: Candidate) -> None:
        model = attention_of(candidate, "blocks")
        if self.blocks >= len(model.blocks):
            what = f"{self.blocks} of {len(model.blocks)} blocks cannot be taken out, one must stay"
            raise ConfigError(what, key=("blocks",), hint=f"use {len(model.blocks) - 1} at most")

    def cut(self, candidate: Candidate, shop: Workshop) -> Candidate:
        model = attention_of(candidate, "blocks")
        for _ in range(min(self.blocks, len(model.blocks) - 1)):
            changes = changed(model, shop)
            model = without_block(model, changes.index(min(changes)))
        return replace(candidate, model=model)


@torch.no_grad()
def changed(model: AttentionModel, shop: Workshop) -> list[float]:
    """How much each block changes the stream, from 0 (not at all) to 2."""
    stream = [*model.blocks, model.norm]
    with watched(stream) as seen:
        model.encode(shop.sample)
    found = []
    for before, after in pairwise(seen):
        cosines = [functional.cosine_similarity(a, b, dim=-1) for a, b in zip(before, after, strict=True)]
        found.append(1 - float(torch.cat([cosine.reshape(-1) for cosine in cosines]).mean()))
    return found
