"""What a language model is asked, and what its answers become."""

from __future__ import annotations

from typing import Any

from ....registry import Component, Components

_HERE = "recdistill.teachers.llm.tasks"

TASKS = Components(
    "tasks",
    Component("listwise", f"{_HERE}.listwise:Listwise", "llm", "candidates ranked for a history: rankings"),
    Component(
        "likelihood", f"{_HERE}.likelihood:Likelihood", "llm", "candidates by the likelihood of their titles: rankings"
    ),
    Component("pairwise", f"{_HERE}.pairwise:Pairwise", "llm", "which of two candidates suits a history: preferences"),
    Component(
        "pointwise", f"{_HERE}.pointwise:Pointwise", "llm", "whether a candidate suits a history: scores and rankings"
    ),
    Component("cold-start", f"{_HERE}.cold_start:ColdStart", "llm", "simulated choices among new items: preferences"),
    Component("profile", f"{_HERE}.profile:Profile", "llm", "what a user likes and why: texts"),
    Component("attributes", f"{_HERE}.attributes:Attributes", "llm", "attributes of items: texts"),
    Component("enrichment", f"{_HERE}.enrichment:Enrichment", "llm", "descriptions of items: texts"),
    Component("relevance", f"{_HERE}.relevance:Relevance", "llm", "how well items answer queries, in grades: scores"),
    Component("embedding", f"{_HERE}.embedding:Embedding", "llm", "vectors of item texts: embeddings"),
)
"""Every task: name in recipes, class, extra, what it gives."""

__all__ = ["TASKS", *TASKS.classes()]


def __getattr__(name: str) -> Any:
    return TASKS.attribute(name)
