"""Other people's networks: where their weights are (without torch), and how they are loaded."""

from __future__ import annotations

from .weights import PACKAGED, Packaged, Weights, locate

__all__ = ["PACKAGED", "Packaged", "Weights", "locate"]
