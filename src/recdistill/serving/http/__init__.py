"""A bundle over HTTP."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Keys", "Settings", "create_app", "serve"]

_PLACES = {"Keys": "settings", "Settings": "settings", "create_app": "app", "serve": "main"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"recdistill.serving.http has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
