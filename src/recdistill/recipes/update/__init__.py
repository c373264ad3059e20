"""Learning from feedback: new events refine the student that is served, behind a gate."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Updated", "Updating", "update"]

_PLACES = {"Updated": "work", "Updating": "config", "update": "work"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"recdistill.recipes.update has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
