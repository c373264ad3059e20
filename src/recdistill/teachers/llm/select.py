"""How the contexts are chosen that a language model is asked about, and when it is asked no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from ...config import Config
from ...registry import component_field
from .selectors import SELECTORS
from .selectors.base import SelectorConfig

__all__ = ["Select"]

if TYPE_CHECKING:
    Selector = SelectorConfig
else:
    Selector = component_field(SELECTORS)


class Select(Config):
    """Ask in rounds, each about those contexts of the task's from which the student may learn most.

    A round chooses contexts, asks about them, and trains the student anew with all that was said until then; the first
    choice is made by the student alone. After every round the student is measured on validation: ``stop_below`` ends
    the rounds when one brings less than it costs, and a spent budget ends them too. A score on validation has noise of
    its own, so a small ``stop_below`` may stop too early or too late.
    """

    name: ClassVar[str] = "select"

    by: Selector = Field(
        default_factory=lambda: SELECTORS["uncertainty"].load()(), description="what makes a context worth asking about"
    )
    rounds: int = Field(4, ge=1, description="rounds at most")
    per_round: int = Field(250, ge=1, description="contexts asked about in each")
    against: str | None = Field(None, description="a teacher above whose rankings selectors compare the student with")
    on_policy: bool = Field(
        False, description="from the second round on, candidates are the first items of the student as it is then"
    )
    stop_below: float | None = Field(
        None, description="end when the student's metric on validation rose by less than this, for what a round costs"
    )
    per: Literal["round", "thousand-questions", "money"] = Field(
        "round", description="what stop_below is the price of; money: a unit of the currency of prices"
    )

    @model_validator(mode="after")
    def _complete(self) -> Select:
        self.by.check(self.against)
        return self

    @property
    def contexts(self) -> int:
        """Contexts that are asked about at most."""
        return self.rounds * self.per_round
