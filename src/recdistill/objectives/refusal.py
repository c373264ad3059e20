"""A teacher that is no better than its student any more is not listened to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from .base import Moment

__all__ = ["Refuse", "listened"]

Refuse = Literal["never", "validation", "labels"]
"""What decides that a teacher is no better than the student: nothing, its lead on validation, or on the labels."""


def listened(mode: Refuse, margin: float, teacher: str, moment: Moment, pages: Mapping[str, Any] | None) -> float:
    """How far a teacher is still listened to in an epoch: ``min(max(lead / margin, 0), 1)``.

    The lead is the teacher's on validation, as a share of its own score (see :class:`~.base.Moment`); or by how many
    nats its mean log-probability of the training labels was above the student's in the last epoch it was listened to,
    so that what has once been refused stays so. The training labels are known to most teachers, and to the student
    after some epochs: ``labels`` is fair only to a teacher that labels out of fold.

    Args:
        mode: What decides.
        margin: The lead from which on the teacher counts fully; at 0 any lead does.
        teacher: Its name.
        moment: The epoch that begins.
        pages: What the term said about its teachers in the last epoch it had a weight, see :mod:`.ledger`.
    """
    if mode == "never":
        return 1.0
    if mode == "validation":
        lead = moment.lead(teacher)
    else:
        page = (pages or {}).get(teacher, {}).get("all", {})
        if "teacher_logp" not in page:
            return 1.0
        lead = float(page["teacher_logp"]) - float(page["student_logp"])
    if margin == 0:
        return float(lead > 0)
    return min(max(lead / margin, 0.0), 1.0)
