"""recdistill: what a large model knows, in a recommender small enough for one CPU core.

import recdistill as rd

data = rd.read("ratings.csv", items="movies.csv", text="{title}. {genres}")
knowledge = rd.teach(rd.teachers.LLMEncoder(), data) + rd.teach(rd.models.SASRec(dim=256), data)
student = rd.distill(rd.models.SASRec(dim=32), data, knowledge)
print(rd.evaluate(student, data, beside=[rd.models.ItemKNN()]))
rd.bundle(student, data, "movies.bundle")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import compression, data, evaluation, knowledge, models, objectives, serving, teachers, training
    from .api import bundle, compress, distill, distill_chain, evaluate, fit, learn_together, split, teach
    from .data import Dataset, read
    from .errors import RecdistillError
    from .recipes import load_recipe, run_recipe
    from .serving import Bundle
    from .training import Training

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "Dataset",
    "RecdistillError",
    "Training",
    "__version__",
    "bundle",
    "compress",
    "compression",
    "data",
    "distill",
    "distill_chain",
    "evaluate",
    "evaluation",
    "fit",
    "knowledge",
    "learn_together",
    "load_recipe",
    "models",
    "objectives",
    "read",
    "run_recipe",
    "serving",
    "split",
    "teach",
    "teachers",
    "training",
]

_ROOMS = ("compression", "data", "evaluation", "knowledge", "models", "objectives", "serving", "teachers", "training")
_HOMES = {
    "Bundle": "serving",
    "Dataset": "data",
    "RecdistillError": "errors",
    "Training": "training",
    "bundle": "api",
    "compress": "api",
    "distill": "api",
    "distill_chain": "api",
    "evaluate": "api",
    "fit": "api",
    "learn_together": "api",
    "load_recipe": "recipes",
    "read": "data",
    "run_recipe": "recipes",
    "split": "api",
    "teach": "api",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"recdistill has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
