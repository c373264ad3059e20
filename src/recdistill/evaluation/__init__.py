"""Is it better, by how much, for whom, and is the difference real."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import MissingExtraError

_WHERE = {
    "Comparison": "bootstrap",
    "Evaluation": "results",
    "Interval": "bootstrap",
    "Transfer": "agreement",
    "compare": "bootstrap",
    "evaluate": "results",
    "metric_values": "metrics",
    "rank": "ranking",
    "transfer_ratio": "agreement",
    "tune_baselines": "baselines",
}

__all__ = [
    "Comparison",
    "Evaluation",
    "Interval",
    "Transfer",
    "compare",
    "evaluate",
    "metric_values",
    "rank",
    "transfer_ratio",
    "tune_baselines",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"recdistill.evaluation has no attribute {name!r}")
    try:
        return getattr(import_module(f".{_WHERE[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "scipy"):
            raise
        raise MissingExtraError(error.name, "train") from None
