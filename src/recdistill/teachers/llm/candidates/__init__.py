"""Which items a language model is asked about: drawn from a history, never from what follows it."""

from __future__ import annotations

from typing import Any

from ....registry import Component, Components

CANDIDATES = Components(
    "candidates",
    Component(
        "recommender",
        "recdistill.teachers.llm.candidates.recommender:RecommenderCandidates",
        "train",
        "the first items of a fitted model, such as a student, or of one fitted at once",
    ),
    Component(
        "teacher",
        "recdistill.teachers.llm.candidates.teacher:TeacherCandidates",
        None,
        "the first items of another teacher's stored rankings",
    ),
    Component(
        "text-neighbours",
        "recdistill.teachers.llm.candidates.text_neighbours:TextNeighbours",
        None,
        "items whose texts lie near those of the history",
    ),
    Component(
        "random",
        "recdistill.teachers.llm.candidates.random:RandomCandidates",
        None,
        "any items, each as likely",
    ),
    Component(
        "popular",
        "recdistill.teachers.llm.candidates.popular:PopularCandidates",
        None,
        "the most popular items",
    ),
    Component(
        "cold",
        "recdistill.teachers.llm.candidates.cold:ColdCandidates",
        None,
        "items that nobody, or hardly anybody, has chosen yet",
    ),
    Component(
        "mixed",
        "recdistill.teachers.llm.candidates.mixed:MixedCandidates",
        None,
        "some of each of several generators",
    ),
)
"""Every generator of candidates: name in recipes, class, extra, what it gives."""

__all__ = ["CANDIDATES", *CANDIDATES.classes()]


def __getattr__(name: str) -> Any:
    return CANDIDATES.attribute(name)
