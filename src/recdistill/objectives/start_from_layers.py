"""Start from the teacher's network: its item vectors, positions and some of its blocks."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from ..data.dataset import Split
from ..errors import ConfigError, KnowledgeError
from ..knowledge import Knowledge, WeightsStore
from ..models import MODELS
from ..models.narrow import narrowed
from ..models.neural import NeuralModel
from ..models.sasrec import SASRec
from ..models.sequence import AttentionConfig, AttentionModel
from .base import Objective, ObjectiveConfig, the_only

__all__ = ["StartFromLayers", "StartFromNetwork"]

_OURS = "model."
"""What the names of a teacher's parameters begin with in its store."""


class StartFromLayers(ObjectiveConfig):
    """The student begins as a part of the teacher's network: fewer blocks, and for ``sasrec`` a smaller width.

    Of equal width, item vectors, position vectors, the last norm and the chosen blocks are copied, as for DistilBERT
    (Sanh et al. 2019, https://arxiv.org/abs/1910.01108, which takes every second block). A narrower ``sasrec`` is
    projected on the leading singular directions of the teacher's item vectors, see
    :func:`recdistill.models.narrow.narrowed`. A teacher's text is inside the item vectors that the student starts from.
    There is no loss, and ``weight`` only says whether: 0 leaves the student as it is.
    """

    name: ClassVar[str] = "start-from-layers"

    teacher: str | None = Field(None, description="whose weights; needed only if several teachers left some")
    blocks: Literal["first", "last", "spread"] = Field(
        "spread", description="which of the teacher's: spread are the first, the last and those evenly between"
    )

    @property
    def reads(self) -> tuple[str, ...]:
        return ("weights",)

    def build(self) -> StartFromNetwork:
        return StartFromNetwork(self)


class StartFromNetwork(Objective):
    """The start described by :class:`StartFromLayers`."""

    config: StartFromLayers

    @torch.no_grad()
    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        if not self.weight.at(self.weight.warmup):
            return
        store = the_only(knowledge.weights(self.config.teacher), split.fingerprint)
        large = self._teacher(store, model)
        assert isinstance(model, AttentionModel)
        tensors, small = store.tensors(), model.config
        weights = {name.removeprefix(_OURS): value for name, value in tensors.items() if name.startswith(_OURS)}
        weights["items"] = tensors["items"]  # those that it ranks with, text included
        chosen = self._blocks(large.blocks, small.blocks)
        if large.dim == small.dim:
            start = _copied(weights, chosen)
        else:
            assert isinstance(large, SASRec)
            assert isinstance(small, SASRec)
            start = narrowed(weights, large, small, chosen, _basis(weights["items"], small.dim))
        own = dict(model.named_parameters())
        with_text = model.table() - own["items"]
        for name, value in start.items():
            shared = tuple(slice(min(a, b)) for a, b in zip(value.shape, own[name].shape, strict=True))
            own[name][shared] = torch.from_numpy(np.ascontiguousarray(value[shared])).to(own[name])
        own["items"].sub_(with_text)

    def _teacher(self, store: WeightsStore, model: NeuralModel) -> AttentionConfig:
        described, name = store.manifest.extra.get("model", {}), store.manifest.teacher
        if not isinstance(model, AttentionModel) or described.get("model") != model.config.name:
            told = f"{name!r} is a {described.get('model', 'model of unknown kind')}, the student a {model.config.name}"
            raise KnowledgeError(f"{told}: no layers to start from", where=store.path, hint="use start-from")
        small = model.config
        large: AttentionConfig = MODELS[described["model"]].load()(**described["config"])
        key, hint = (self.config.name,), "a student starts from a part of its teacher"
        for what in ("dim", "blocks", "heads"):
            if getattr(small, what) > getattr(large, what):
                told = (
                    f"the student's {what}={getattr(small, what)} is more than the {getattr(large, what)} of {name!r}"
                )
                raise ConfigError(told, key=(*key, what), hint=hint)
        if large.dim == small.dim and large.heads != small.heads:
            raise ConfigError(
                f"{name!r} has {large.heads} heads of this width", key=(*key, "heads"), hint="use as many"
            )
        if large.dim != small.dim and not isinstance(large, SASRec):
            raise ConfigError(f"a {small.name} cannot be made narrower", key=(*key, "dim"), hint=f"use dim={large.dim}")
        return large

    def _blocks(self, there: int, wanted: int) -> list[int]:
        match self.config.blocks:
            case "first":
                return list(range(wanted))
            case "last":
                return list(range(there - wanted, there))
            case "spread":
                return [int(at) for at in np.linspace(0, there - 1, wanted).round()]


def _copied(weights: dict[str, npt.NDArray[Any]], blocks: list[int]) -> dict[str, npt.NDArray[Any]]:
    """The teacher's tensors under the names that they have in a student of equal width."""
    out = {name: weights[name] for name in ("items", "place", "norm.weight", "norm.bias")}
    for number, block in enumerate(blocks):
        mine = f"blocks.{block}."
        out |= {f"blocks.{number}.{n.removeprefix(mine)}": value for n, value in weights.items() if n.startswith(mine)}
    return out


def _basis(items: npt.NDArray[Any], dim: int) -> npt.NDArray[np.float64]:
    """Leading right singular vectors: float64 ``[width, dim]``."""
    exact = np.asarray(items, dtype=np.float64)
    return np.asarray(np.linalg.eigh(exact.T @ exact)[1][:, ::-1][:, :dim])
