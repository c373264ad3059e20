"""Teachers: whatever knows more than the student, and how it puts what it knows into :mod:`recdistill.knowledge`.

::

    teacher = recdistill.teachers.TextEncoder()
    store = teacher.embed_items(split, "knowledge/minilm")
"""

from __future__ import annotations

from typing import Any

from ..registry import Component, Components

TEACHERS = Components(
    "teachers",
    Component(
        "text-encoder",
        "recdistill.teachers.text_encoder:TextEncoder",
        "text",
        "item embeddings by sentence-transformers or any Hugging Face encoder",
    ),
    Component(
        "llm-encoder",
        "recdistill.teachers.llm_encoder:LLMEncoder",
        "text",
        "item embeddings from the hidden states of any causal language model, also GGUF",
    ),
    Component(
        "user-profiles",
        "recdistill.teachers.user_profiles:UserProfiles",
        "text",
        "embeddings of what users took, and of items, by a text encoder",
    ),
    Component(
        "recommender",
        "recdistill.teachers.recommender:RecommenderTeacher",
        "train",
        "rankings by any fitted model, for every training position",
    ),
    Component(
        "ensemble",
        "recdistill.teachers.ensemble:Ensemble",
        "train",
        "several fitted models fused, with weights chosen on validation",
    ),
    Component(
        "llm",
        "recdistill.teachers.llm.teacher:LLM",
        "llm",
        "a language model that is asked: rankings, preferences, scores, texts or embeddings",
    ),
    Component(
        "imported",
        "recdistill.teachers.imported:Imported",
        None,
        "predictions or embeddings of anybody's teacher, from files",
    ),
)
"""Every teacher: name in recipes, class, extra, what it gives."""

__all__ = ["TEACHERS", *TEACHERS.classes()]


def __getattr__(name: str) -> Any:
    return TEACHERS.attribute(name)
