"""Serving: open a bundle and ask it; numpy and, where a graph runs, ONNX Runtime; no torch."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PLACES = {
    "AllOf": "filters",
    "AnyOf": "filters",
    "Asked": "bundle",
    "Attribute": "filters",
    "Bundle": "bundle",
    "Category": "filters",
    "Client": "client",
    "Diversity": "diversity",
    "Filter": "filters",
    "Fusion": "fusion",
    "Items": "filters",
    "Not": "filters",
    "Recommendation": "bundle",
    "Rule": "filters",
    "parse_filter": "filters",
    "recommend_batch": "batch",
    "resolve": "catalogue",
    "write_archive": "place",
}

__all__ = [
    "AllOf",
    "AnyOf",
    "Asked",
    "Attribute",
    "Bundle",
    "Category",
    "Client",
    "Diversity",
    "Filter",
    "Fusion",
    "Items",
    "Not",
    "Recommendation",
    "Rule",
    "parse_filter",
    "recommend_batch",
    "resolve",
    "write_archive",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"recdistill.serving has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)
