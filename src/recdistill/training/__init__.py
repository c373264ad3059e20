"""Training: one loop for teachers and students, with early stopping, exact resume and logs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .across import fit_across
    from .config import Training
    from .live import LIVE, MeanTeacher, OnPolicy, Peer, Trajectory
    from .loop import Fitted, fit
    from .pretraining import Pretraining, pretrain
    from .side_task import SideTask

__all__ = [
    "LIVE",
    "Fitted",
    "MeanTeacher",
    "OnPolicy",
    "Peer",
    "Pretraining",
    "SideTask",
    "Training",
    "Trajectory",
    "fit",
    "fit_across",
    "pretrain",
]

_HOMES = {"Training": "config", "Fitted": "loop", "SideTask": "side_task", "fit": "loop", "fit_across": "across"}
_HOMES |= {"Pretraining": "pretraining", "pretrain": "pretraining"}
_HOMES |= dict.fromkeys(("LIVE", "MeanTeacher", "OnPolicy", "Peer", "Trajectory"), "live")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"recdistill.training has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
