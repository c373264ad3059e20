"""Structured pruning: units of the feed-forward layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch.nn import functional

from ...errors import ConfigError
from ...models.sasrec import SASRecModel
from ..candidate import Candidate, Workshop
from ..surgery import keep_units, watched
from .base import RecoveringStep

__all__ = ["PruneFeedForward"]


class PruneFeedForward(RecoveringStep):
    """The units of the feed-forward layers whose activations vary least, times what they write, are taken out.

    Measured on training histories. The mean of what is taken out stays, as a part of the bias: a unit that is always
    on costs nothing to prune.
    """

    name: ClassVar[str] = "prune-feed-forward"

    amount: float = Field(0.25, ge=0, lt=1, description="share of the units of every block")

    def check(self, candidate: Candidate) -> None:
        _network(candidate)

    @torch.no_grad()
    def cut(self, candidate: Candidate, shop: Workshop) -> Candidate:
        model = _network(candidate)
        blocks: list[Any] = list(model.blocks)
        with watched([block.up for block in blocks]) as seen:
            model.encode(shop.sample)
        for block, inputs in zip(blocks, seen, strict=True):
            active = torch.cat([functional.gelu(block.up(x)).reshape(-1, len(block.up.bias)) for x in inputs])
            written = active.var(dim=0, correction=0) * block.down.weight.square().sum(dim=0)
            kept = max(len(written) - int(self.amount * len(written)), 1)
            units = written.argsort(descending=True, stable=True)[:kept].sort().values
            keep_units(block, units, active.mean(dim=0))
        return replace(candidate, model=model)


def _network(candidate: Candidate) -> SASRecModel:
    model = candidate.network()
    if not isinstance(model, SASRecModel):
        raise ConfigError(f"{model.config.name} has no feed-forward layer to prune", hint="sasrec has")
    return model
