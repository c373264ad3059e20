"""Compression: fewer bits for each number, and the bundle that is served."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["ServedModel", "pack", "write_bundle"]

_PLACES = {"ServedModel": "served", "pack": "quantise", "write_bundle": "bundle"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"recdistill.compression has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
