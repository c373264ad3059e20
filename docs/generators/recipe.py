"""The recipe reference: every part of the YAML and its keys."""

from __future__ import annotations

from recdistill.compression import Gate
from recdistill.config import Config
from recdistill.data import Cleaning, Task
from recdistill.objectives.schedule import Schedule
from recdistill.recipes.schema import (
    BundleSpec,
    CompressionSpec,
    DataSpec,
    EvaluateSpec,
    Recipe,
    SourceSpec,
    StudentSpec,
    TeacherSpec,
    TrainSpec,
)
from recdistill.teachers.llm.budget import Budget, Prices
from recdistill.teachers.llm.engine import Again
from recdistill.teachers.llm.select import Select
from recdistill.training import SideTask, Training

from .parameters import prose, table

__all__ = ["page"]

_PARTS: tuple[tuple[str, type[Config]], ...] = (
    ("The recipe", Recipe),
    ("data", DataSpec),
    ("data.cleaning", Cleaning),
    ("teachers", TeacherSpec),
    ("source of a teacher", SourceSpec),
    ("select of a teacher of type llm", Select),
    ("budget of a teacher of type llm", Budget),
    ("prices of a teacher of type llm", Prices),
    ("again of a teacher of type llm", Again),
    ("student", StudentSpec),
    ("student.alone, student.distilled and each of student.ablations", TrainSpec),
    ("training", Training),
    ("weight of an objective", Schedule),
    ("tasks", Task),
    ("tasks of a training", SideTask),
    ("evaluate", EvaluateSpec),
    ("compression", CompressionSpec),
    ("compression.gate", Gate),
    ("bundle", BundleSpec),
)

_HEAD = """\
# Recipe reference

<!-- Made by docs/generate.py from the Config classes. Do not edit. -->

A recipe is a YAML file. Its keys are the fields of the classes below, and the same classes are used from Python.
An unknown key, a wrong type or two settings that contradict each other are refused before anything runs, with
file, line and the nearest known key.

A *component* (a model, an objective, a split) is written as its name, or as a mapping with `type` and parameters:

```yaml
split: leave-last-out
model: {type: sasrec, dim: 32, blocks: 1}
```

The names are in [Components](components.md). `--set key.key=value` on the command line changes one key; elements of
lists go by number, as in `--set teachers.0.k=50`.
"""

_AFTER = {
    "student": """\
Two ablations, to see what the text alone and what the rankings alone are worth:

```yaml
student:
  ablations:
    text-only:
      objectives: [cross-entropy, {type: embedding-hint, teacher: text}]
    rankings-only:
      objectives: [cross-entropy, {type: soft-labels, teacher: large}]
```"""
}
"""What stands below the table of a part."""


def page() -> str:
    """The page."""
    parts = [[f"## {title}", prose(config), table(config), _AFTER.get(title, "")] for title, config in _PARTS]
    return "\n\n".join([_HEAD.strip(), *(text for part in parts for text in part if text)]) + "\n"
