"""Parameters of an update."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ...config import Config

__all__ = ["Updating"]


class Updating(Config):
    """How new events refine the student that is served."""

    name: ClassVar[str] = "update"

    min_events: int = Field(100, ge=1, description="new events that are waited for")
    replay: float = Field(4.0, ge=0, description="older events for each new one, so that nothing is forgotten")
    task: float = Field(0.5, ge=0, description="weight of cross-entropy, where the recipe's terms have none")
    remember: float = Field(1.0, ge=0, description="weight of what the student said before at older events; 0: none")
    ask_teacher: bool = Field(
        False, description="let the main teacher rank at the new events too; its stored answers are used in any case"
    )
    epochs: int = Field(5, ge=1, description="epochs at most; the best one on validation counts")
    lr_scale: float = Field(0.1, gt=0, le=1, description="of the recipe's learning rate")
    max_drop: float = Field(
        0.005, ge=0, lt=1, description="share of the metric on old validation that an update may lose, and all together"
    )
    min_gain: float = Field(0.0, ge=0, description="share by which the metric at new events must grow")
    min_judged: int = Field(20, ge=1, description="new events only the gate sees; fewer are waited for")
    seed: int = Field(0, ge=0)
