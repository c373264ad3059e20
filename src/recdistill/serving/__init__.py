"""Serving: open a bundle and recommend from it; numpy, pyarrow and ONNX Runtime, no torch."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Bundle", "Recommendation", "resolve"]

_PLACES = {"Bundle": "bundle", "Recommendation": "bundle", "resolve": "catalogue"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"recdistill.serving has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
