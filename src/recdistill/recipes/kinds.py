"""Who leaves what: a term whose teacher will not leave what it reads is refused before anybody is taught."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import ConfigError, nearest
from ..teachers import TEACHERS

if TYPE_CHECKING:
    from ..objectives.base import ObjectiveConfig
    from .schema import Recipe, TeacherSpec

__all__ = ["check_kinds"]

RANKINGS, WEIGHTS, OF_ITEMS, OF_USERS = "rankings", "weights", "item embeddings", "user embeddings"


def check_kinds(recipe: Recipe) -> None:
    """See that every term finds what it reads, and every model the texts that it names.

    Teachers and terms of which nobody knows what they leave or read, such as plugins', are not judged.

    Raises:
        ConfigError: A teacher will leave nothing that a term reads, no teacher will, or all weights are 0.
    """
    for number, teacher in enumerate(recipe.teachers):
        above, place = recipe.teachers[:number], ("teachers", str(number))
        _check_terms(recipe, teacher.objectives, above, [], (*place, "objectives"))
        _check_text(recipe, getattr(teacher.model, "text", None), above, (*place, "model", "text"))
    student = recipe.student
    _check_text(recipe, getattr(student.model, "text", None), recipe.teachers, ("student", "model", "text"))
    for kind, spec in student.trainings.items():
        within = (kind,) if kind in ("alone", "distilled") else ("ablations", kind)
        at, live = ("student", *within), [teacher.id for teacher in spec.live]
        _check_terms(recipe, spec.objectives, recipe.teachers, live, (*at, "objectives"))
        if all(objective.weight.is_zero for objective in spec.objectives):
            hint = "give one of them a weight"
            raise ConfigError("all weights are 0 at all times", key=(*at, "objectives"), hint=hint)
        text = spec.parameters.get("text")
        _check_text(recipe, text, recipe.teachers, (*at, "parameters", "text"))


def _check_terms(
    recipe: Recipe, terms: Sequence[ObjectiveConfig], teachers: Sequence[TeacherSpec], live: Sequence[str],
    key: tuple[str, ...],
) -> None:  # fmt: skip
    left = {teacher.id: _leaves(recipe, teacher) for teacher in teachers}
    for index, term in enumerate(terms):
        named = [name for name in term.named_teachers if name in left]
        for name in named:
            found = left[name]
            if term.reads and found is not None and not found.intersection(term.reads):
                raise ConfigError(
                    f"{term.name} reads {' or '.join(term.reads)}, and {name!r} leaves {_listed(found)}",
                    key=(*key, str(index)), hint=_hint(term, left),
                )  # fmt: skip
        if not term.named_teachers and not live and term.reads and left:
            found_by_any = [found is None or bool(found.intersection(term.reads)) for found in left.values()]
            if not any(found_by_any):
                what = f"{term.name} reads {' or '.join(term.reads)}, which no teacher leaves"
                raise ConfigError(what, key=(*key, str(index)), hint=_hint(term, left))


def _hint(term: ObjectiveConfig, left: dict[str, frozenset[str] | None]) -> str:
    able = [name for name, found in left.items() if found is None or found.intersection(term.reads)]
    if able:
        return f"name one that does: {', '.join(able)}"
    if OF_ITEMS in term.reads:
        return "add an encoder, or a recommender with vectors, such as fism"
    return "say label: true of a recommender" if RANKINGS in term.reads else "add a recommender with vectors, as fism"


def _listed(found: frozenset[str]) -> str:
    return " and ".join(sorted(found)) or "nothing (label: false)"


def _leaves(recipe: Recipe, teacher: TeacherSpec) -> frozenset[str] | None:
    """What a teacher leaves; None: nobody knows before it is asked."""
    if teacher.ranks:
        vectors = False if teacher.model is None else teacher.model.has_vectors
        if vectors is None:
            return None
        ranked = [RANKINGS] if recipe.labels(teacher) else []
        return frozenset([*ranked, *([WEIGHTS, OF_USERS] if vectors else [])])
    leaves: frozenset[str] | None = TEACHERS[teacher.type].load().leaves
    return leaves


def _check_text(recipe: Recipe, text: object, teachers: Sequence[TeacherSpec], key: tuple[str, ...]) -> None:
    """A model that carries texts inside names an encoder above, or says ``all``."""
    if not isinstance(text, str) or text == "all":
        return
    named = next((teacher for teacher in teachers if teacher.id == text), None)
    encoders = [t.id for t in teachers if (found := _leaves(recipe, t)) is None or OF_ITEMS in found]
    if named is None:
        raise ConfigError(f"no teacher above is called {text!r}", key=key, hint=nearest(text, encoders))
    if named.id not in encoders:
        what = f"{text!r} is a {named.type} and embeds no items"
        raise ConfigError(what, key=key, hint=nearest(text, encoders) or "add a text-encoder")
