"""The loss terms of an update: the recipe's, a task if they have none, and the student as it was."""

from __future__ import annotations

from collections.abc import Sequence

from ...knowledge import Knowledge
from ...objectives import CrossEntropy, SoftLabels
from ...objectives.base import FeatureObjective, ObjectiveConfig, ScoreObjective
from .config import Updating

__all__ = ["BEFORE", "terms_of"]

BEFORE = "student-before"
"""The name under which the student teaches itself what it knew."""


def terms_of(recipe: Sequence[ObjectiveConfig], known: Knowledge, wanted: Updating) -> list[ObjectiveConfig]:
    """Terms to refine a trained student by.

    Those that only prepare initial weights would undo what was learned, and those whose teacher is not here, because it
    changed while the student learned, cannot be read.

    Args:
        recipe: Terms that the student was distilled by.
        known: Knowledge about the data of the update.
        wanted: Weights of the others.
    """
    there = {store.manifest.teacher for store in known.stores}
    rankings = [store.manifest.teacher for store in known.stores if store.kind == "rankings"]
    stored = [name for name in rankings if name != BEFORE]
    terms = [_naming(term, stored) for term in recipe if isinstance(term.build(), ScoreObjective | FeatureObjective)]
    terms = [term for term in terms if there.issuperset(term.named_teachers)]
    if all(term.is_taught for term in terms):
        terms.append(CrossEntropy(weight=wanted.task))
    if BEFORE in there:
        terms.append(SoftLabels(teacher=BEFORE, weight=wanted.remember, temperature=1.0))
    return terms


def _naming(term: ObjectiveConfig, stored: Sequence[str]) -> ObjectiveConfig:
    """A term that reads the only teacher there is, told its name: now there is another one, the student itself."""
    reads = isinstance(term.build(), ScoreObjective) and "teacher" in type(term).model_fields
    return term.replace(teacher=stored[0]) if reads and not term.named_teachers and len(stored) == 1 else term
