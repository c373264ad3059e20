"""A further task of a student, as a recipe names it; read without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ..config import Config
from ..data.tasks import Task
from ..objectives import OBJECTIVES
from ..objectives.schedule import Schedule, Weight
from ..registry import component_field

if TYPE_CHECKING:
    from ..objectives.base import ObjectiveConfig as Objective
else:
    Objective = component_field(OBJECTIVES)

__all__ = ["SideTask"]


class SideTask(Config):
    """A task that the student learns beside its own: which events are labels, and what is learned from them.

    Student and task share the encoder and the item vectors. With a ``linear`` head the task sees the states through a
    matrix of its own, which begins as the identity (hard parameter sharing, Caruana 1997,
    https://doi.org/10.1023/A:1007379606734); without one, its terms pull at the student's own scores.
    """

    name: ClassVar[str] = "side-task"

    labels: Task = Field(Task(), description="which events count; in a recipe, left to its tasks")
    objectives: list[Objective] = Field(min_length=1, description="they read teachers of this task")
    weight: Weight = Field(Schedule(), description="of all its terms; a number, or a schedule over the epochs")
    head: Literal["linear", "shared"] = "linear"
