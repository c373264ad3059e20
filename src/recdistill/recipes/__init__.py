"""Recipes: the YAML of one experiment, and the stages it runs through."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .load import load_recipe
    from .run import run_recipe
    from .schema import Recipe

__all__ = ["Recipe", "load_recipe", "run_recipe"]

_HOMES = {"Recipe": "schema", "load_recipe": "load", "run_recipe": "run"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"recdistill.recipes has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
