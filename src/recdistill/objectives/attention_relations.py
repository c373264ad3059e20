"""Attention relations: which events of a history belong together, as inside the teacher."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ..data.dataset import Split
from ..errors import ConfigError, KnowledgeError
from ..knowledge import Knowledge
from ..models.neural import NeuralModel
from ..models.sequence import AttentionBlock, AttentionModel
from ..models.stored import stored_model
from ..models.watch import watched
from .base import FeatureObjective, Features, ObjectiveConfig, the_only
from .lists import NEVER

__all__ = ["AttentionRelations", "AttentionRelationsLoss"]

Relation = Literal["query-key", "query-query", "key-key", "value-value"]


class AttentionRelations(ObjectiveConfig):
    """``KL(softmax(A Aᵀ / √d) of the teacher ‖ the same of the student)``, mean over heads, events and relations.

    ``A`` are the queries, keys or values of one block each, cut into ``heads`` relation heads of width ``d``;
    *query-key* is the attention itself. Each event is related to itself and those before it. The teacher is made again
    from its weights and reads the histories of the step beside the student, so it costs its forward pass. MiniLM (Wang
    et al. 2020, https://arxiv.org/abs/2002.10957) transfers *query-key* and *value-value* of the last block, MiniLMv2
    (Wang et al. 2021, https://arxiv.org/abs/2012.15828) the three relations that are the default here, with 48 heads,
    too many for recommenders. For students and teachers made of attention blocks: ``sasrec``, ``hstu``.
    """

    name: ClassVar[str] = "attention-relations"

    teacher: str | None = Field(None, description="whose weights; needed only if several teachers left some")
    relations: tuple[Relation, ...] = Field(("query-query", "key-key", "value-value"), min_length=1)
    heads: int | None = Field(
        None, ge=1, description="relation heads; must divide the widths of both; None: as many as the student has heads"
    )
    block: int = Field(-1, description="block of the student, from 0, or from the end if below 0")
    teacher_block: int = Field(-1, description="block of the teacher")

    @property
    def reads(self) -> tuple[str, ...]:
        return ("weights",)

    def build(self) -> AttentionRelationsLoss:
        return AttentionRelationsLoss(self)


class AttentionRelationsLoss(FeatureObjective):
    """The term described by :class:`AttentionRelations`."""

    config: AttentionRelations

    def prepare(self, model: NeuralModel, split: Split, knowledge: Knowledge, seed: int) -> None:
        config, key = self.config, self.config.name
        store = the_only(knowledge.weights(config.teacher), split.fingerprint)
        name = repr(store.manifest.teacher)
        student = _attends(model, "the student")
        teacher = _attends(stored_model(store), name).to(next(model.parameters()).device).requires_grad_(False).eval()
        self.heads = config.heads or student.config.heads
        for who, width in (("the student", student.dim), (name, teacher.dim)):
            if width % self.heads:
                what = f"{self.heads} relation heads do not divide dim={width} of {who}"
                raise ConfigError(what, key=(key, "heads"), hint="choose a common divisor of both widths")
        if teacher.config.max_length < student.config.max_length:
            what = f"{name} reads {teacher.config.max_length} events at most, the student {student.config.max_length}"
            raise ConfigError(what, key=(key, "teacher"), hint="lower max_length of the student")
        _block(student, config.block, (key, "block"))
        # in a tuple, so that the teacher is no part of what is trained and saved
        self.beside = teacher, _block(teacher, config.teacher_block, (key, "teacher_block")), teacher.table()

    def watches(self, model: NeuralModel) -> tuple[nn.Module, ...]:
        return (_block(model, self.config.block).projection,)

    def loss(self, features: Features) -> Tensor:
        teacher, block, table = self.beside
        batch, own = features.batch, _block(features.model, self.config.block)
        with torch.no_grad(), watched([block.projection]) as outputs:
            teacher.states(batch.users, batch.inputs, table)
        theirs = _parts(block, outputs[block.projection])
        mine = _parts(own, features.outputs[own.projection])
        real = batch.inputs < features.model.n_items
        apart = [
            divergence(theirs[a], theirs[b], mine[a], mine[b], self.heads) for a, b in _pairs(self.config.relations)
        ]
        return torch.stack(apart).mean(0)[real].mean()


def divergence(a: Tensor, b: Tensor, c: Tensor, d: Tensor, heads: int) -> Tensor:
    """``KL(softmax(A Bᵀ) ‖ softmax(C Dᵀ))`` of each event over itself and those before it, mean over heads.

    Args:
        a: float ``[rows, length, width]``, heads side by side; ``b`` of the same width.
        b: See ``a``.
        c: float ``[rows, length, dim]``; ``d`` of the same width.
        d: See ``c``.
        heads: Into how many heads each is cut.

    Returns:
        Float ``[rows, length]``.
    """
    teacher, student = _log_relation(a, b, heads), _log_relation(c, d, heads)
    return (teacher.exp() * (teacher - student)).sum(-1).mean(1)


def _log_relation(a: Tensor, b: Tensor, heads: int) -> Tensor:
    """Log-probabilities ``[rows, heads, length, length]``."""
    rows, length, width = a.shape
    first, second = (x.view(rows, length, heads, width // heads).transpose(1, 2) for x in (a, b))
    later = torch.ones(length, length, dtype=torch.bool, device=a.device).triu(1)
    scores = first @ second.transpose(-1, -2) / (width // heads) ** 0.5
    return torch.log_softmax(scores.masked_fill(later, NEVER), dim=-1)


def _pairs(relations: tuple[Relation, ...]) -> list[tuple[str, str]]:
    return [(a, b) for a, _, b in (relation.partition("-") for relation in relations)]


def _parts(block: AttentionBlock, projected: Tensor) -> dict[str, Tensor]:
    return dict(zip(("query", "key", "value"), block.queries_keys_values(projected.float()), strict=True))


def _attends(model: object, who: str) -> AttentionModel:
    if not isinstance(model, AttentionModel):
        what = f"{who} is a {type(model).__name__} and has no attention blocks to relate"
        raise KnowledgeError(what, hint="use sasrec or hstu on both sides")
    return model


def _block(model: NeuralModel, number: int, key: tuple[str, ...] = ()) -> AttentionBlock:
    blocks = list(_attends(model, "the student").blocks)
    if not -len(blocks) <= number < len(blocks):
        raise ConfigError(f"no block {number}: there are {len(blocks)}", key=key)
    found = blocks[number]
    assert isinstance(found, AttentionBlock)
    return found
