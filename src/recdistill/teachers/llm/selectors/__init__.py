"""Which contexts a language model is asked about next: those from whose answers the student may learn most."""

from __future__ import annotations

from typing import Any

from ....registry import Component, Components

_HERE = "recdistill.teachers.llm.selectors"

SELECTORS = Components(
    "selectors",
    Component("random", f"{_HERE}.random:RandomSelector", None, "any contexts, each as likely"),
    Component(
        "uncertainty", f"{_HERE}.uncertainty:Uncertainty", None, "where the student's first items are equally likely"
    ),
    Component(
        "disagreement",
        f"{_HERE}.disagreement:Disagreement",
        None,
        "where the student ranks otherwise than another teacher, or than one round ago",
    ),
    Component("difficulty", f"{_HERE}.difficulty:Difficulty", None, "where the student does not expect what came next"),
    Component(
        "diversity",
        f"{_HERE}.diversity:Diversity",
        None,
        "contexts that lie far apart in the student's space",
    ),
    Component("alkdrec", f"{_HERE}.alkdrec:ALKDRec", None, "a draw that gains most if the answers are at their worst"),
)
"""Every way to choose contexts: name in recipes, class, extra, what it chooses."""

__all__ = ["SELECTORS", *SELECTORS.classes()]


def __getattr__(name: str) -> Any:
    return SELECTORS.attribute(name)
