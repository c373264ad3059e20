"""Loss terms: task objectives learn from labels, distillation objectives from stored knowledge."""

from __future__ import annotations

from typing import Any

from ..registry import Component, Components

OBJECTIVES = Components(
    "objectives",
    Component(
        "cross-entropy", "recdistill.objectives.cross_entropy:CrossEntropy", "train", "task: softmax over the catalogue"
    ),
    Component(
        "auto", "recdistill.objectives.auto:Auto", "train", "chosen on validation among the best, in a time budget"
    ),
    Component("bpr", "recdistill.objectives.bpr:BPR", "train", "task: the label above sampled negatives"),
    Component(
        "soft-labels",
        "recdistill.objectives.soft_labels:SoftLabels",
        "train",
        "listwise KL to the teacher's stored top-k and tail",
    ),
    Component(
        "several-teachers",
        "recdistill.objectives.several_teachers:SeveralTeachers",
        "train",
        "soft labels of several teachers: mean, by confidence, gate, or bandit",
    ),
    Component(
        "hard-labels",
        "recdistill.objectives.hard_labels:HardLabels",
        "train",
        "the teacher's first items as further labels",
    ),
    Component(
        "listwise-softmax",
        "recdistill.objectives.listwise_softmax:ListwiseSoftmax",
        "train",
        "KL to the teacher inside its list",
    ),
    Component("list-mle", "recdistill.objectives.list_mle:ListMLE", "train", "likelihood of the teacher's order"),
    Component("ranknet", "recdistill.objectives.ranknet:RankNet", "train", "pairs of the list in the teacher's order"),
    Component(
        "margin-mse", "recdistill.objectives.margin_mse:MarginMSE", "train", "differences of scores like the teacher's"
    ),
    Component(
        "binary-labels",
        "recdistill.objectives.binary_labels:BinaryLabels",
        "train",
        "soft labels of single items, for logistic students",
    ),
    Component("dist", "recdistill.objectives.dist:DIST", "train", "correlation with the teacher inside its list"),
    Component(
        "rd",
        "recdistill.objectives.rd:RD",
        "train",
        "Ranking Distillation: first items, weighted by place and discrepancy",
    ),
    Component(
        "cd",
        "recdistill.objectives.cd:CD",
        "train",
        "Collaborative Distillation: items drawn by rank, soft binary labels",
    ),
    Component(
        "rrd",
        "recdistill.objectives.rrd:RRD",
        "train",
        "Relaxed Ranking Distillation: order, above uninteresting items",
    ),
    Component(
        "dcd",
        "recdistill.objectives.dcd:DCD",
        "train",
        "Dual Correction: what the student ranks too low or too high now",
    ),
    Component(
        "unkd",
        "recdistill.objectives.unkd:UnKD",
        "train",
        "Unbiased distillation: order inside groups of like popularity",
    ),
    Component(
        "rce-kd",
        "recdistill.objectives.rce_kd:RCEKD",
        "train",
        "cross-entropy on the student's own top, extended to the teacher's",
    ),
    Component(
        "dkd",
        "recdistill.objectives.dkd:DKD",
        "train",
        "Decoupled distillation: label against rest, and inside the rest",
    ),
    Component(
        "dllm2rec",
        "recdistill.objectives.dllm2rec:DLLM2Rec",
        "train",
        "first items, weighted by place, confidence and agreement",
    ),
    Component(
        "ranking",
        "recdistill.objectives.ranking:Ranking",
        "train",
        "your own: which items, how much each counts, what is compared",
    ),
    Component(
        "ir-rrd",
        "recdistill.objectives.ir_rrd:IRRRD",
        "train",
        "Item-side Relaxed Ranking: for an item, the users in the teacher's order",
    ),
    Component(
        "dcd-item",
        "recdistill.objectives.dcd_item:DCDItem",
        "train",
        "Dual Correction, item side: to whom the student recommends an item too low or too high",
    ),
    Component(
        "embedding-hint",
        "recdistill.objectives.embedding_hint:EmbeddingHint",
        "train",
        "FitNet: vectors of items or users that map onto the teacher's; profiles that are reconstructed",
    ),
    Component(
        "de",
        "recdistill.objectives.de:DE",
        "train",
        "Distillation Experts: several maps onto the teacher's vectors, one chosen for each",
    ),
    Component(
        "ftd",
        "recdistill.objectives.ftd:FTD",
        "train",
        "Full Topology Distillation: all relations among users and items",
    ),
    Component(
        "htd",
        "recdistill.objectives.htd:HTD",
        "train",
        "Hierarchical Topology Distillation: relations inside learned groups, and between them",
    ),
    Component("rkd", "recdistill.objectives.rkd:RKD", "train", "Relational distillation: distances and angles"),
    Component(
        "similarity",
        "recdistill.objectives.similarity:Similarity",
        "train",
        "Similarity-preserving: dot products among users and items",
    ),
    Component("cka", "recdistill.objectives.cka:CKA", "train", "alignment of the two spaces up to rotation and scale"),
    Component(
        "contrastive",
        "recdistill.objectives.contrastive:Contrastive",
        "train",
        "CRD as InfoNCE: nearer to the teacher's vector of the same thing than of others",
    ),
    Component(
        "attention-relations",
        "recdistill.objectives.attention_relations:AttentionRelations",
        "train",
        "MiniLM: which events of a history belong together, as inside the teacher",
    ),
    Component(
        "start-from",
        "recdistill.objectives.start_from:StartFrom",
        "train",
        "item vectors that start from the teacher's, reduced in width",
    ),
    Component(
        "start-from-layers",
        "recdistill.objectives.start_from_layers:StartFromLayers",
        "train",
        "a network that starts as a part of the teacher's: chosen blocks, a smaller width",
    ),
)
"""Every objective: name in recipes, class, extra, what it does."""

__all__ = ["OBJECTIVES", *OBJECTIVES.classes()]


def __getattr__(name: str) -> Any:
    return OBJECTIVES.attribute(name)
