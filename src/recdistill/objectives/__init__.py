"""Loss terms: task objectives learn from labels, distillation objectives from stored knowledge."""

from __future__ import annotations

from typing import Any

from ..registry import Component, Components

OBJECTIVES = Components(
    "objectives",
    Component(
        "cross-entropy", "recdistill.objectives.cross_entropy:CrossEntropy", "train", "task: softmax over the catalogue"
    ),
    Component("bpr", "recdistill.objectives.bpr:BPR", "train", "task: the label above sampled negatives"),
    Component(
        "soft-labels",
        "recdistill.objectives.soft_labels:SoftLabels",
        "train",
        "listwise KL to the teacher's stored top-k and tail",
    ),
    Component(
        "hard-labels",
        "recdistill.objectives.hard_labels:HardLabels",
        "train",
        "the teacher's first items as further labels",
    ),
    Component(
        "embedding-hint",
        "recdistill.objectives.embedding_hint:EmbeddingHint",
        "train",
        "item vectors that map onto the teacher's embeddings",
    ),
    Component(
        "start-from",
        "recdistill.objectives.start_from:StartFrom",
        "train",
        "item vectors that start from the teacher's, reduced in width",
    ),
)
"""Every objective: name in recipes, class, extra, what it does."""

__all__ = ["OBJECTIVES", *OBJECTIVES.classes()]


def __getattr__(name: str) -> Any:
    return OBJECTIVES.attribute(name)
