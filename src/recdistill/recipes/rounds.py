"""A language model that is asked in rounds: the student of the recipe says about which contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..data.dataset import Split
    from ..knowledge import Knowledge
    from ..models import ModelConfig
    from ..training.pupil import Pupil
    from .schema import Recipe, TeacherSpec, TrainSpec

__all__ = ["asks_in_rounds", "check_rounds", "pupil", "read_in_rounds", "shaping_rounds"]


def asks_in_rounds(spec: TeacherSpec) -> bool:
    """Whether a student is trained while this teacher is asked."""
    return spec.type == "llm" and spec.parameters.get("select") is not None


def check_rounds(recipe: Recipe) -> None:
    """See that the student can be trained while a language model is still being asked.

    Raises:
        ConfigError: It needs somebody who has not spoken by then, or another task's labels.
    """
    for number, spec in enumerate(recipe.teachers):
        if not asks_in_rounds(spec):
            continue
        key = ("teachers", str(number), "parameters", "select")
        later = [teacher.id for teacher in recipe.teachers[number + 1 :]]
        for kind, training in (("alone", recipe.student.alone), ("distilled", recipe.student.distilled)):
            named = [*(name for term in training.terms for name in term.named_teachers), _text(recipe, training)]
            early = next((name for name in named if name in later), None)
            if early is not None:
                what = f"the student {kind} reads {early!r}, who is taught after {spec.id!r} has been asked"
                raise ConfigError(what, key=key, hint=f"put {early!r} above {spec.id!r}")
        if recipe.student.distilled.live or recipe.student.distilled.tasks:
            what = "rounds train the student by stored teachers and its own task only"
            raise ConfigError(what, key=key, hint="remove live and tasks of distilled, or select")
        if recipe.task_of(spec) != recipe.student.task:
            raise ConfigError("rounds are about the student's own task", key=key, hint="remove task of the teacher")


def read_in_rounds(recipe: Recipe, spec: TeacherSpec) -> set[str]:
    """Ids of the teachers above that the student reads meanwhile."""
    before = recipe.teachers[: recipe.teachers.index(spec)]
    trainings = (recipe.student.alone, recipe.student.distilled)
    return {name for t in trainings for name in recipe.read_by(t.terms, _text(recipe, t), before, t.needs)}


def shaping_rounds(recipe: Recipe, spec: TeacherSpec) -> list[Any]:
    """What the rounds depend on beside the teacher; nothing for one that is asked at once."""
    if not asks_in_rounds(spec):
        return []
    student = recipe.student
    trainings = [training.model_dump(mode="json") for training in (student.alone, student.distilled)]
    terms = [term.name for training in (student.alone, student.distilled) for term in training.objectives]
    return [student.model.name, student.model.model_dump(mode="json"), trainings, terms, recipe.seeds[0]]


def pupil(recipe: Recipe, split: Split, knowledge: Knowledge) -> Pupil:
    """The student of the rounds: alone and distilled as the recipe has them, by its first seed."""
    from ..training.pupil import Pupil

    student, seed = recipe.student, recipe.seeds[0]
    alone = student.alone
    return Pupil(
        _model(student.model, student.distilled), split, knowledge, student.distilled.objectives,
        student.distilled.training.replace(seed=seed),
        (_model(student.model, alone), alone.objectives, alone.training.replace(seed=seed)),
    )  # fmt: skip


def _model(model: ModelConfig, training: TrainSpec) -> ModelConfig:
    return model.replace(**training.parameters)


def _text(recipe: Recipe, training: TrainSpec) -> str | None:
    text: str | None = training.parameters.get("text", getattr(recipe.student.model, "text", None))
    return text
