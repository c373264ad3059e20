"""Ranking models: context → scores of all items. Any of them can be teacher or student."""

from __future__ import annotations

from typing import Any

from ..registry import Component, Components
from .base import ModelConfig, RankingModel, VectorModel, load_model

MODELS = Components(
    "models",
    Component(
        "popularity",
        "recdistill.models.popularity:Popularity",
        None,
        "most interactions first, optionally decayed by age",
    ),
    Component(
        "item-knn", "recdistill.models.item_knn:ItemKNN", "train", "sequence-aware neighbours of the history's items"
    ),
    Component(
        "ease", "recdistill.models.ease:EASE", "train", "closed-form linear item-to-item model, the linear student"
    ),
    Component("dual-ease", "recdistill.models.dual_ease:DualEASE", "train", "EASE for large catalogues with few users"),
    Component("slist", "recdistill.models.slist:SLIST", "train", "closed-form linear map from history to what follows"),
    Component(
        "text-knn", "recdistill.models.text_knn:TextKNN", "train", "items whose text embedding is near the history's"
    ),
    Component("mf", "recdistill.models.mf:MF", "train", "matrix factorisation: a vector per user and per item"),
    Component(
        "lightgcn",
        "recdistill.models.lightgcn:LightGCN",
        "train",
        "matrix factorisation over the graph of users and items",
    ),
    Component("fism", "recdistill.models.fism:FISM", "train", "low-rank item-to-item map over a fading history: tiny"),
    Component("gru4rec", "recdistill.models.gru4rec:GRU4Rec", "train", "recurrent network over the history"),
    Component(
        "sasrec",
        "recdistill.models.sasrec:SASRec",
        "train",
        "self-attention over the history; with text embeddings inside: LLM-enhanced",
    ),
    Component(
        "headed",
        "recdistill.models.headed:Headed",
        "train",
        "another model through a head of its own: one of its tasks",
    ),
    Component("hstu", "recdistill.models.hstu:HSTU", "train", "gated attention over the history, without a softmax"),
    Component(
        "llm-recommender",
        "recdistill.models.llm_recommender:LLMRecommender",
        "text",
        "a causal language model over item vectors, frozen or with LoRA adapters",
    ),
)
"""Every model: name in recipes, class, extra, what it is."""

__all__ = ["MODELS", "ModelConfig", "RankingModel", "VectorModel", "load_model", *MODELS.classes()]


def __getattr__(name: str) -> Any:
    return MODELS.attribute(name)
