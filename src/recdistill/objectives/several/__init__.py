"""Several teachers in one term: who is listened to in which context.

A :class:`Mix` turns what the teachers say in a context, and what is known to be right there, into shares that sum to 1.
"""

from __future__ import annotations

from .bandit import Bandit
from .gate import Gate, Judge
from .mixes import Confidence, LabelConfidence, Margin, Mean, Mix

__all__ = ["Bandit", "Confidence", "Gate", "Judge", "LabelConfidence", "Margin", "Mean", "Mix"]
