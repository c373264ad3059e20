"""Ranking distillation in parts: which items are compared, how much each counts, what is compared.

A published method is a :class:`ListObjective` that combines a sampler, weights and a comparison; see ``rrd.py`` one
level up for a short one. Parts see a :class:`Scene` and nothing else, so any of them goes with any other.
"""

from __future__ import annotations

from .base import ListConfig, ListObjective, RankingsObjective, TaughtConfig, TaughtObjective
from .scene import NEVER, Picked, Scene

__all__ = [
    "NEVER",
    "ListConfig",
    "ListObjective",
    "Picked",
    "RankingsObjective",
    "Scene",
    "TaughtConfig",
    "TaughtObjective",
]
