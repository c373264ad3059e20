"""The components: a table of each kind, then the parameters of each component."""

from __future__ import annotations

from typing import Any, get_type_hints

from recdistill.cli.components import tables
from recdistill.config import Config
from recdistill.models import ModelConfig
from recdistill.registry import Component, Components

from .parameters import cell, prose, table

__all__ = ["page"]

_ABOUT = {
    "teachers": "Under `teachers:`; parameters of encoders, ensembles and imports go under `parameters:`.",
    "tasks": "Under `parameters.task` of a teacher of type `llm`: what it is asked.",
    "candidates": "Under `parameters.task.candidates` of a teacher of type `llm`: which items it is asked about.",
    "selectors": "Under `parameters.select.by` of a teacher of type `llm`: which contexts a round asks about.",
    "backends": "Under `parameters.backend` of a teacher of type `llm`: where the language model runs.",
    "models": "Under `student.model`, and under `model` of a teacher of type `recommender`: any model can be either.",
    "objectives": "Loss terms, under `objectives`. Task objectives need labels, the others need knowledge.",
    "live": "Teachers that change while the student learns, under `live` of a training; objectives name their `id`.",
    "steps": "Under `compression.steps`, and behind `--steps` of `recdistill compress`.",
    "splits": "Under `data.split`.",
    "readers": "Chosen by what `data.log` names; from Python, call them.",
}

_HEAD = """\
# Components

<!-- Made by docs/generate.py from the component tables. Do not edit. -->

Everything that can stand in a recipe, by name. `recdistill components` prints the same tables, with the components of
installed plugins. *Extra* is what to install for it: `pip install 'recdistill[EXTRA]'`.
"""


def page() -> str:
    """The page."""
    return "\n\n".join([_HEAD.strip(), *(_kind(kind, found) for kind, found in tables().items())]) + "\n"


def _kind(kind: str, found: Components) -> str:
    rows = ["| name | Python | extra | what it is |", "|---|---|---|---|"]
    rows += [f"| `{c.name}` | `{c.attribute}` | {c.extra or ''} | {cell(c.summary)} |" for c in found.values()]
    details = [_details(component) for component in found.values()]
    return "\n\n".join([f"## {kind.capitalize()}\n\n{_ABOUT[kind]}", "\n".join(rows), *filter(None, details)])


def _details(component: Component) -> str:
    """The parameters, if it has any: of the class itself, or of the class of its ``config``."""
    loaded: Any = component.load()
    for config in (loaded, get_type_hints(loaded).get("config")):
        if isinstance(config, type) and issubclass(config, Config) and config is not ModelConfig:
            return f"### {component.name}\n\n{prose(config)}\n\n{table(config)}"
    return ""
