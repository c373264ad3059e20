"""Live teachers: teachers that change while the student learns.

Objectives read them by name like any stored teacher. Those that rank on the spot (a copy of the student, a model that
is trained beside it) do so at every step; those that are asked now and then keep what they said in a store.
"""

from __future__ import annotations

from typing import Any

from ...registry import Component, Components

LIVE = Components(
    "live",
    Component(
        "mean-teacher",
        "recdistill.training.live.mean_teacher:MeanTeacher",
        "train",
        "a moving average of the student itself",
    ),
    Component(
        "trajectory",
        "recdistill.training.live.trajectory:Trajectory",
        "train",
        "snapshots of a teacher's training, from easy to hard",
    ),
    Component(
        "on-policy",
        "recdistill.training.live.on_policy:OnPolicy",
        "train",
        "a teacher asked in rounds about what the student itself ranks first",
    ),
    Component("peer", "recdistill.training.live.peer:Peer", "train", "a model that is trained beside the student"),
)
"""Every live teacher: name in recipes, class, extra, what it is."""

__all__ = ["LIVE", *LIVE.classes()]


def __getattr__(name: str) -> Any:
    return LIVE.attribute(name)
