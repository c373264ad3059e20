"""What users did with recommendations: stored exactly once, and read again to teach the next student."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Event", "EventStore", "Writer", "open_store"]

_PLACES = {"Event": "base", "EventStore": "base", "Writer": "writer", "open_store": "stores"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"recdistill.serving.feedback has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
