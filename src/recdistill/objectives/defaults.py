"""The loss terms that are used if nobody names some."""

from __future__ import annotations

from ..knowledge import Knowledge
from .base import ObjectiveConfig
from .cross_entropy import CrossEntropy
from .embedding_hint import EmbeddingHint
from .soft_labels import SoftLabels

__all__ = ["default_objectives"]


def default_objectives(knowledge: Knowledge) -> list[ObjectiveConfig]:
    """Cross-entropy, soft labels of the last teacher that left rankings, a hint of the first that embedded items."""
    ranked = [store.manifest.teacher for store in knowledge.stores if store.kind == "rankings"]
    items = [store for store in knowledge.stores if store.kind == "embeddings" and store.manifest.keyed_by == "item"]
    embedded = [store.manifest.teacher for store in items]
    terms: list[ObjectiveConfig] = [CrossEntropy(weight=0.5 if ranked else 1.0)]
    if ranked:
        terms.append(SoftLabels(weight=0.5, temperature=1.0, teacher=ranked[-1]))
    if embedded:
        terms.append(EmbeddingHint(weight=0.1, teacher=embedded[0]))
    return terms
